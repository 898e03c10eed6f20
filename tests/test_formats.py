"""One model in every format: the same answers, the same header, whoever opens the file."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FACES, NETWORKS, lively

from mien.cli.app import main
from mien.data.sources import open_data
from mien.errors import ModelError, UsageError
from mien.evaluate.evaluation import evaluate
from mien.models import onnx_runtime
from mien.models.files import read_model, write_int8, write_model
from mien.models.model import Model, Prior, predict_proba
from mien.models.networks import folded, torch_network
from mien.models.onnx_runtime import onnxruntime

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own

EVERYWHERE = [(name, suffix) for name in NETWORKS for suffix in (".safetensors", ".onnx")]
PRIORS: tuple[Prior, ...] = ("natural", "uniform")
ALL = [*EVERYWHERE, ("classic", ".h5"), ("classic", ".keras")]


@pytest.fixture(autouse=True, scope="module")
def _keras_on_torch() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(scope="module")
def public_test(archive: Path) -> np.ndarray:
    return open_data(archive).val.images


def written(model: Model, path: Path) -> Path:
    if path.suffix in (".h5", ".keras"):
        pytest.importorskip("keras", reason="keras (mien[keras]) is not installed")
    write_model(model, path)
    return path


@pytest.mark.parametrize(("architecture", "suffix"), ALL)
def test_every_format_gives_the_same_answers(architecture: str, suffix: str, tmp_path: Path) -> None:
    model = lively(architecture=architecture, temperature=1.7)
    expected = predict_proba(model, FACES)
    back = read_model(written(model, tmp_path / f"m{suffix}"))
    np.testing.assert_allclose(predict_proba(back, FACES), expected, atol=1e-4)
    assert expected.std(0).min() > 0.02
    assert back.header() == model.header()
    assert predict_proba(back, FACES[:0]).shape == (0, 7)
    assert list(tmp_path.iterdir()) == [tmp_path / f"m{suffix}"]


@pytest.mark.long
@pytest.mark.parametrize(("architecture", "suffix"), ALL)
def test_every_format_agrees_on_every_face_of_public_test(
    architecture: str, suffix: str, public_test: np.ndarray, tmp_path: Path
) -> None:
    model = lively(architecture=architecture)
    expected = predict_proba(model, public_test)
    answers = predict_proba(read_model(written(model, tmp_path / f"m{suffix}")), public_test)
    assert np.abs(answers - expected).max() < 1e-4
    best = np.sort(expected, axis=1)[:, -2:]
    assert ((answers.argmax(1) == expected.argmax(1)) | (best[:, 1] - best[:, 0] < 1e-4)).all()
    assert len(np.unique(expected.argmax(1))) >= 3


# --- prior


def test_uniform_prior_takes_the_frequencies_out_of_the_answers() -> None:
    model = replace(lively(), prior=(0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1))
    natural, uniform = (predict_proba(model, FACES, prior=prior) for prior in PRIORS)
    expected = natural / np.array(model.prior)
    np.testing.assert_allclose(uniform, expected / expected.sum(1, keepdims=True), rtol=1e-4)


def test_without_a_prior_uniform_is_refused() -> None:
    with pytest.raises(ModelError, match="leave out --prior uniform"):
        predict_proba(lively(), FACES, prior="uniform")


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".keras", ".h5"])
def test_the_prior_travels(suffix: str, tmp_path: Path) -> None:
    model = replace(lively(), prior=(0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1))
    write_model(model, tmp_path / f"m{suffix}")
    assert read_model(tmp_path / f"m{suffix}").prior == model.prior


def test_a_prior_that_is_none_is_refused(tmp_path: Path) -> None:
    for prior in ((0.5, 0.5), (1.4, -0.4, 0, 0, 0, 0, 0), (0.1,) * 7):
        write_model(replace(lively(), prior=prior), tmp_path / "m.safetensors")
        with pytest.raises(ModelError, match="prior"):
            read_model(tmp_path / "m.safetensors")


def test_an_unknown_bare_name_lists_the_models_that_come_along() -> None:
    with pytest.raises(UsageError, match="no model of that name comes with Mien"):
        read_model("nobody")


# --- temperature


def test_temperature_divides_the_logits() -> None:
    cold, warm = (predict_proba(lively(temperature=value), FACES) for value in (1.0, 2.0))
    roots = np.sqrt(cold)
    np.testing.assert_allclose(warm, roots / roots.sum(1, keepdims=True), atol=1e-5)


def test_useless_weights_are_told() -> None:
    model = lively()
    model.network.head.weight.data.fill_(1e38)  # pyrefly: ignore[missing-attribute]
    with pytest.raises(ModelError, match="its weights are of no use"):
        predict_proba(model, FACES)


# --- .onnx


@pytest.mark.parametrize("architecture", NETWORKS)
def test_an_onnx_file_is_sound_and_whole(architecture: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx (mien[train]) is not installed")
    model = lively(("x", "wütend", "z"), architecture, temperature=0.8)
    path = written(model, tmp_path / "m.onnx")
    proto = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.SerializeToString(deterministic=True) == path.read_bytes()
    assert not any(tensor.HasField("data_location") for tensor in proto.graph.initializer)
    assert path.stat().st_size - 4 * sum(np.prod(tensor.dims) for tensor in proto.graph.initializer) < 16_000


def test_anyone_can_use_an_onnx_file(tmp_path: Path) -> None:
    model = lively(temperature=1.7)
    session = onnxruntime.InferenceSession(written(model, tmp_path / "m.onnx"))
    (faces,) = session.get_inputs()
    assert (faces.name, faces.shape, faces.type) == ("faces", ["batch", 1, 48, 48], "tensor(float)")
    expected = predict_proba(model, FACES)
    for count in (1, 5, 24):
        (answers,) = session.run(["probabilities"], {"faces": FACES[:count, None].astype(np.float32) / 255})
        np.testing.assert_allclose(np.asarray(answers), expected[:count], atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["mien"]) == model.header()


def test_an_onnx_file_needs_no_torch(tmp_path: Path) -> None:
    model = lively()
    np.save(tmp_path / "faces.npy", FACES)
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'safetensors', 'h5py', 'keras', 'onnx'])); "
        "import numpy, mien; model = mien.read_model('m.onnx'); "
        "numpy.save('answers.npy', mien.predict_proba(model, numpy.load('faces.npy')))"
    )
    written(model, tmp_path / "m.onnx")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), predict_proba(model, FACES), atol=1e-4)


def test_one_module_alone_imports_onnxruntime() -> None:
    """It turns the telemetry off first, so whoever imports onnxruntime elsewhere might turn it on."""
    source = Path(onnx_runtime.__file__).parents[1]
    importing = [
        path for path in source.rglob("*.py") if re.search(r"^\s*(import|from) onnxruntime", path.read_text(), re.M)
    ]
    assert importing == [Path(onnx_runtime.__file__)]


def test_reading_a_model_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    home = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    home |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", "import mien; mien.read_model('tiny')"], env=home, check=True)
    assert list(tmp_path.iterdir()) == []


# --- .keras


@pytest.mark.filterwarnings("error:Skipping variable loading")
def test_keras_opens_our_keras_file(tmp_path: Path) -> None:
    keras: Any = pytest.importorskip("keras", reason="keras (mien[keras]) is not installed")
    model = lively()
    loaded = keras.models.load_model(written(model, tmp_path / "m.keras"))
    inputs, expected = FACES[..., None].astype(np.float32) / np.float32(255), predict_proba(model, FACES)
    np.testing.assert_allclose(loaded.predict(inputs, verbose=0), expected, atol=1e-4)
    loaded.fit(inputs[:2], expected[:2], verbose=0)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_keras_files_hold_the_classic_network_only(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"m{suffix}").write_text("an older model")
    with pytest.raises(ModelError, match=rf"\{suffix} holds .* 'classic', not 'deep'; use \.safetensors or \.onnx"):
        write_model(lively(architecture="deep"), tmp_path / f"m{suffix}")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an older model"]


# --- from .onnx to anywhere


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".keras", ".h5"])
def test_an_onnx_model_is_exported_again(suffix: str, tmp_path: Path) -> None:
    """From float32 with the same answers; to .onnx the same bytes."""
    model = lively(temperature=1.7)
    served = read_model(written(model, tmp_path / "m.onnx"))
    again = written(served, tmp_path / f"again{suffix}")
    np.testing.assert_allclose(predict_proba(read_model(again), FACES), predict_proba(model, FACES), atol=1e-4)
    assert read_model(again).header() == model.header()
    if suffix == ".onnx":
        assert again.read_bytes() == (tmp_path / "m.onnx").read_bytes()


@pytest.mark.parametrize("architecture", ["classic", "base", "tiny"])
def test_int8_weights_are_put_back_into_float32(architecture: str, tmp_path: Path) -> None:
    """The rounding of the weights stays (64 steps), that of what flows between the layers goes."""
    model = lively(architecture=architecture)
    write_int8(model, tmp_path / "m.onnx", FACES)
    served = read_model(tmp_path / "m.onnx")
    write_model(served, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()
    ours, theirs = folded(torch_network(model)), folded(torch_network(served))
    for one, other in zip(ours[::2], theirs[::2], strict=True):
        steps = np.abs(one).reshape(len(one), -1).max(1) / 64
        assert (np.abs(one - other).reshape(len(one), -1).max(1) <= steps * 0.51).all()
    np.testing.assert_array_equal(ours[-1], theirs[-1])


# --- the command line


def test_export_writes_every_format(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("keras", reason="keras (mien[keras]) is not installed")
    model = lively()
    write_model(model, tmp_path / "model.safetensors")
    for suffix in (".safetensors", ".keras", ".h5", ".onnx"):
        file = tmp_path / f"other{suffix}"
        assert main(["export", str(tmp_path), str(file)]) == 0
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == (f"{file}\n", "")
        assert read_model(file).header() == model.header()
    arguments = ["--model", str(file), "--data", str(drawn), "--out", str(tmp_path / "scores"), "--json"]
    assert main(["evaluate", *arguments]) == 0
    fields = json.loads(capsys.readouterr().out)
    expected = evaluate(model, open_data(drawn).test).scores
    assert fields["accuracy"] == expected.accuracy
    assert fields["nll"] == pytest.approx(expected.nll, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("export m.safetensors m.pt", "unknown model format '.pt'; use .safetensors, .onnx, .keras, .h5 or .hdf5"),
        ("export nowhere.h5 m.onnx", "nowhere.h5: no such model file"),
        (
            "evaluate --model m.onnx --data drawn --device cuda",
            "device 'cuda': the installed onnxruntime runs .onnx models on cpu alone; use that",
        ),
        ("evaluate --model m.safetensors --data drawn --device gpu", "device 'gpu' cannot be used here"),
        ("compare m.safetensors m.onnx --data drawn --device gpu", "device 'gpu' cannot be used here"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: str,
    message: str,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix in (".onnx", ".safetensors"):
        write_model(lively(), f"m{suffix}")
    Path("drawn").symlink_to(drawn)
    before = sorted(Path().rglob("*"))
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[-1]
    assert sorted(Path().rglob("*")) == before
