"""Models in int8: nearly the same answers from a quarter of the bytes, and files as strict as those in float32."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import NETWORKS, lively

from mien.cli.app import main
from mien.data.sources import open_data
from mien.errors import ModelError, UsageError
from mien.models.architectures import architecture_of
from mien.models.files import read_model, write_int8, write_model
from mien.models.formats import onnx_graph
from mien.models.formats.quantise import _best_range, _over_blocks
from mien.models.model import Model, parse_header, predict_proba
from mien.models.networks import build, torch_network
from mien.preprocess import Preprocess

pytest.importorskip("onnxruntime")


def spots(count: int, seed: int) -> np.ndarray:
    """Faces of large spots, on which a lively network's answers differ."""
    patches = np.random.default_rng(seed).integers(0, 256, (count, 6, 6), np.uint8)
    return patches.repeat(8, axis=1).repeat(8, axis=2)


SEEN, NEW = spots(48, seed=1), spots(96, seed=2)


def in_int8(model: Model, path: Path, faces: np.ndarray = SEEN) -> Model:
    write_int8(model, path, faces)
    return read_model(path)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in int8; read only."""
    path = tmp_path_factory.mktemp("int8") / "m.onnx"
    write_int8(lively(architecture="tiny"), path, SEEN)
    return path


def stored(path: Path) -> tuple[str, list[onnx_graph.Slot], list[np.ndarray]]:
    metadata, raws = onnx_graph.stored(path.read_bytes())
    slots = onnx_graph.slots(parse_header(metadata["mien"]), "int8")
    pairs = zip(raws, slots, strict=False)
    return metadata["mien"], slots, [np.frombuffer(raw, slot.kind).reshape(slot.shape).copy() for raw, slot in pairs]


def by_hand(path: Path, faces: np.ndarray) -> np.ndarray:
    """Logits of an int8 file's network, in whole numbers, layer by layer."""
    header, _, stored_arrays = stored(path)
    plan = architecture_of(parse_header(header)["architecture"]).plan()
    arrays = iter([torch.from_numpy(array).double() for array in stored_arrays])
    given = [(torch.from_numpy(faces)[:, None].double(), next(arrays))]  # whole numbers, and what they are multiples of
    for number, layer in enumerate(plan):
        taken = [given[source + 1] for source in layer.sources]
        maps, scale = taken[0]
        if layer.kind == "gate":
            weight, bias, back, back_bias = (next(arrays) for _ in range(4))
            units = torch.nn.functional.conv2d((maps * scale).mean((2, 3), keepdim=True), weight, bias).relu()
            weights = torch.nn.functional.conv2d(units, back, back_bias).sigmoid()
            given.append((maps * scale * weights, torch.tensor(1.0)))
            continue
        if layer.kind == "sum":
            result_scale = next(arrays)
            maps = (sum(each * of for each, of in taken) / result_scale).round().clamp(0, 255)
        else:
            weight, weight_scale, result_scale, bias = (next(arrays) for _ in range(4))
            over_blocks = not number and layer.pool
            maps = torch.nn.functional.pixel_unshuffle(maps, 2) if over_blocks else maps
            padding = weight.shape[2] // 2 if layer.kind == "convolution" else 0
            sums = torch.nn.functional.conv2d(maps, weight, bias, padding=padding)
            maps = (sums * (scale * weight_scale / result_scale)[:, None, None]).round()
            maps = maps.clamp(*((0, 255) if layer.relu else (-128, 127)))
            if over_blocks:
                maps = maps.reshape(len(faces), 4, layer.shape[0], 24, 24).amax(1)
        if layer.pool and not (not number and layer.kind == "convolution"):
            maps = torch.nn.functional.max_pool2d(maps, 2)
        given.append((maps, result_scale))
    head, bias = arrays
    maps, scale = given[-1]
    return ((maps * scale).mean((2, 3)) @ head.T + bias).numpy()


@pytest.mark.parametrize("architecture", NETWORKS)
def test_onnxruntime_computes_the_whole_numbers_that_we_mean(architecture: str, tmp_path: Path) -> None:
    model = lively(architecture=architecture, temperature=1.7)
    small = in_int8(model, tmp_path / "m.onnx")
    expected = by_hand(tmp_path / "m.onnx", NEW[:24])
    differences = np.abs(small.network.logits(small.preprocess.scale(NEW[:24]), "cpu") - expected).max(1)
    assert np.median(differences) < 1e-4 * np.ptp(expected)  # now and then, float32 rounds a tie the other way
    assert small.header() == model.header()
    assert predict_proba(small, NEW[:0]).shape == (0, 7)


def test_int8_names_the_same_expressions(drawn: Path, tmp_path: Path) -> None:
    faces = open_data(drawn).train
    torch.manual_seed(0)
    network = build("tiny", len(faces.classes))
    model = Model(network, "tiny", faces.classes)
    inputs, labels = torch.from_numpy(model.preprocess.scale(faces.images)), torch.from_numpy(faces.labels)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(60):
        some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(step))[:32]
        torch.nn.functional.cross_entropy(network(inputs[some]), labels[some]).backward()
        optimiser.step()
        optimiser.zero_grad()
    network.eval()
    answers = predict_proba(in_int8(model, tmp_path / "m.onnx", faces.images[:64]), faces.images)
    expected = predict_proba(model, faces.images)
    assert (answers.argmax(1) == expected.argmax(1)).mean() > 0.97
    assert np.abs(answers - expected).mean() < 0.01
    assert len(np.unique(expected.argmax(1))) >= 5


@pytest.mark.parametrize("architecture", NETWORKS)
def test_an_int8_file_is_sound_and_a_quarter_of_the_size(architecture: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx (mien[train]) is not installed")
    model = lively(("x", "wütend", "z"), architecture)
    write_int8(model, tmp_path / "m.onnx", SEEN[:8])
    write_model(model, tmp_path / "float.onnx")
    proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.SerializeToString(deterministic=True) == (tmp_path / "m.onnx").read_bytes()
    assert (tmp_path / "m.onnx").stat().st_size < 0.35 * (tmp_path / "float.onnx").stat().st_size
    whole = [onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer if tensor.data_type == 3]
    assert max(np.abs(array).max() for array in whole) == 64  # two products of 255 * 64 fit into 16 bits


def test_the_same_faces_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    for name, faces in (("again", SEEN), ("other", SEEN // 2)):
        write_int8(lively(architecture="tiny"), tmp_path / f"{name}.onnx", faces)
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()
    assert (tmp_path / "other.onnx").read_bytes() != file.read_bytes()


def test_an_answer_does_not_depend_on_its_batch_mates(file: Path) -> None:
    model = read_model(file)
    together = predict_proba(model, NEW)
    alone = np.concatenate([predict_proba(model, face[None]) for face in NEW])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_gray_values_enter_as_they_are() -> None:
    values = np.arange(256, dtype=np.uint8)
    scaled = Preprocess().scale(values[:, None, None])
    assert (np.rint(scaled.ravel() / np.float32(1 / 255)) == values).all()


# --- the arithmetic


def test_a_convolution_over_blocks_is_the_one_over_pixels() -> None:
    faces, weight = torch.rand(2, 1, 48, 48), torch.randn(5, 1, 3, 3)
    over_pixels = torch.nn.functional.conv2d(faces, weight, padding=1)
    blocks = torch.from_numpy(_over_blocks(weight.numpy()))
    over_blocks = torch.nn.functional.conv2d(torch.nn.functional.pixel_unshuffle(faces, 2), blocks, padding=1)
    windows = over_pixels.reshape(2, 5, 24, 2, 24, 2).permute(0, 3, 5, 1, 2, 4)  # face, place in a window, channel ...
    torch.testing.assert_close(over_blocks.reshape(2, 2, 2, 5, 24, 24), windows)


def error_of(values: np.ndarray, highest: float) -> float:
    step = highest / 255
    return float(((np.rint(values.clip(0, highest) / step) * step - values) ** 2).mean())


def test_the_range_loses_least() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.random(20_000), rng.exponential(1, 20_000), np.append(rng.random(20_000), 9.0)):
        found = _best_range(values.astype(np.float32))
        best = min(error_of(values, values.max() * share) for share in np.linspace(0.05, 1, 96))
        assert error_of(values, found) < 1.1 * best
    assert 0 < _best_range(np.zeros(9, np.float32)) < 1e-6


def test_dead_channels_and_dead_layers_do_no_harm(tmp_path: Path) -> None:
    model = lively(architecture="tiny")
    blocks: Any = torch_network(model).blocks
    for channel, weight in enumerate((0.0, 1e-30, 1e-9)):
        blocks[1][0].weight.data[channel] = weight
    blocks[1][1].bias.data[:3] = 2.0
    expected = predict_proba(model, NEW)
    np.testing.assert_allclose(predict_proba(in_int8(model, tmp_path / "m.onnx"), NEW), expected, atol=0.2)
    blocks[3][1].weight.data.zero_()
    blocks[3][1].bias.data.fill_(-1)
    expected = predict_proba(model, NEW)
    np.testing.assert_allclose(predict_proba(in_int8(model, tmp_path / "m.onnx"), NEW), expected, atol=0.2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    model = lively(architecture="tiny")
    torch_network(model).head.weight.data[0, 0] = value
    with pytest.raises(ModelError, match="holds numbers that no training leaves"):
        write_int8(model, tmp_path / "m.onnx", SEEN)
    assert not list(tmp_path.iterdir())


# --- files from strangers


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("role", ["scale", "weight_scale"])
def test_a_scale_that_is_none_is_refused(role: str, value: float, file: Path, tmp_path: Path) -> None:
    header, slots, arrays = stored(file)
    arrays[[slot.role for slot in slots].index(role)].flat[0] = value
    (tmp_path / "m.onnx").write_bytes(onnx_graph.encode(header, "int8", arrays))
    with pytest.raises(ModelError, match=r"scales that are not above zero|numbers that no training leaves"):
        read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "change",
    [
        lambda proto: proto.metadata_props.pop(1),
        lambda proto: setattr(proto.metadata_props[1], "value", "float32"),
        lambda proto: setattr(proto.metadata_props[1], "value", "int4"),
        lambda proto: setattr(proto.metadata_props[2], "value", "0" * 64),
        lambda proto: setattr(proto.graph.initializer[-1], "raw_data", b"\1"),  # a zero that is none
        lambda proto: setattr(proto.graph.initializer[-3], "raw_data", b"\1" * 32),  # shape of the first maps
        lambda proto: setattr(proto.graph.initializer[1], "data_type", 2),
        lambda proto: setattr(proto.graph.initializer[1], "raw_data", proto.graph.initializer[1].raw_data[:-1]),
        lambda proto: proto.graph.initializer[1].dims.__setitem__(0, 10**12),
        lambda proto: setattr(proto.graph.node[2], "op_type", "ConvInteger"),
        lambda proto: proto.graph.node[2].input.__setitem__(1, "step1.weight_scale"),
    ],
)
def test_an_int8_file_that_mien_did_not_write_is_refused(
    change: Callable[[Any], object], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx (mien[train]) is not installed")
    proto = onnx.load(file)
    change(proto)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString(deterministic=True))
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: pytest.fail("the file reached onnxruntime"))
    with pytest.raises(ModelError, match="export it again"):
        read_model(tmp_path / "m.onnx")


# --- threads and the command line


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("1", 1), ("many", 0), ("", 0)])
def test_omp_num_threads_holds_for_onnxruntime_too(
    said: str, threads: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    network: Any = read_model(file).network
    assert network.session.get_session_options().intra_op_num_threads == threads


def test_its_threads_leave_the_cores_to_others_between_faces(file: Path) -> None:
    network: Any = read_model(file).network
    options = network.session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_export_writes_int8(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, file = tmp_path / "model.safetensors", tmp_path / "small.onnx"
    write_model(lively(architecture="tiny"), model)
    assert main(["export", str(model), str(file), "--int8", "--data", str(drawn)]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    read = read_model(file)
    assert dict(read.notes) == {"recipe": "none", "int8": f"ranges of training faces of {drawn.name}"}
    assert read.classes == lively().classes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("m.safetensors small.onnx --int8", "--int8 and --data go together"),
        ("m.safetensors small.onnx --data drawn", "--int8 and --data go together"),
        ("m.safetensors small.h5 --int8 --data drawn", "small.h5: only .onnx files hold models in int8"),
        ("m.safetensors small.onnx --int8 --data nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(
    arguments: str,
    message: str,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix in (".onnx", ".safetensors"):
        write_model(lively(architecture="tiny"), f"m{suffix}")
    Path("drawn").symlink_to(drawn)
    before = sorted(Path().iterdir())
    assert main(["export", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[-1]
    assert sorted(Path().iterdir()) == before


def test_without_faces_there_is_no_int8(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there are none"):
        write_int8(lively(architecture="tiny"), tmp_path / "m.onnx", SEEN[:0])
    with pytest.raises(UsageError, match=r"only \.onnx"):
        write_int8(lively(architecture="tiny"), tmp_path / "m.h5", SEEN)
