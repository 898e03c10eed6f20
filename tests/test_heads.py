"""Networks of two heads and means of networks: the same answers in every format, by the head that is asked for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FACES, NETWORKS, lively

from mien import Predictor
from mien.cli.app import main
from mien.errors import ModelError
from mien.models.architectures import ARCHITECTURES, Architecture, Mean, Member, from_plain, network_name, to_plain
from mien.models.files import read_model, write_int8, write_model
from mien.models.formats import onnx_graph
from mien.models.mean import mean_of
from mien.models.model import Head, Model, predict_proba
from mien.models.networks import MeanNetwork, build, empty_network

SOURCES = ("votes", "fer2013")
SHARES = {"votes": (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), "fer2013": (0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1)}


def two_headed(architecture: str = "small pairs", seed: int = 0) -> Model:
    """A lively network whose second head has the first one's weights in another order."""
    model = lively(architecture=architecture)
    network = build(NETWORKS[architecture], 7, heads=2)
    state: dict[str, torch.Tensor] = dict(model.network.state_dict())  # type: ignore[attr-defined]
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed + 1))
    for name in ("head.weight", "head.bias"):
        state[name] = torch.cat([state[name], state[name][order]])
    network.load_state_dict(state)
    other = Head("fer2013", 0.7, SHARES["fer2013"])
    described = NETWORKS[architecture]
    return Model(
        network.eval(),
        described,
        model.classes,
        temperature=1.7,
        prior=SHARES["votes"],
        labels="votes",
        others=(other,),
    )


def voting() -> Model:
    return replace(lively(architecture="quick", temperature=0.8), labels="votes", prior=(1 / 7,) * 7)


# --- two heads


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
@pytest.mark.parametrize("architecture", ["small pairs", "small squeezed"])
def test_each_head_answers_in_every_format(architecture: str, suffix: str, tmp_path: Path) -> None:
    model = two_headed(architecture)
    write_model(model.answering("fer2013"), tmp_path / f"m{suffix}")  # whichever answers now, the file is the same
    back = read_model(tmp_path / f"m{suffix}")
    assert back.header() == model.header() == model.answering("fer2013").header()
    assert (back.labels, back.sources) == ("votes", SOURCES)
    answers = [predict_proba(model.answering(source), FACES) for source in SOURCES]
    assert np.abs(answers[0] - answers[1]).max() > 0.1
    for source, expected in zip(SOURCES, answers, strict=True):
        np.testing.assert_allclose(predict_proba(back.answering(source), FACES), expected, atol=1e-4)
    again = back.answering("fer2013").answering("votes")
    np.testing.assert_allclose(
        predict_proba(again, FACES, prior="uniform"), predict_proba(model, FACES, prior="uniform"), atol=1e-4
    )


def test_anyone_finds_both_heads_in_an_onnx_file(tmp_path: Path) -> None:
    from mien.models.onnx_runtime import open_session

    model = two_headed()
    write_model(model, tmp_path / "m.onnx")
    session = open_session(tmp_path / "m.onnx")
    names = [output.name for output in session.get_outputs()]
    assert names == ["probabilities", "logits", "fer2013_probabilities", "fer2013_logits"]
    found = session.run(None, {"faces": FACES[:, None].astype(np.float32) / 255})
    for source, answers in zip(SOURCES, found[::2], strict=True):
        np.testing.assert_allclose(np.asarray(answers), predict_proba(model.answering(source), FACES), atol=1e-4)


def test_int8_keeps_both_heads(tmp_path: Path) -> None:
    model = two_headed()
    write_int8(model, tmp_path / "m.onnx", FACES)
    small = read_model(tmp_path / "m.onnx")
    assert small.header() == model.header()
    for source in SOURCES:
        answers, expected = (predict_proba(each.answering(source), FACES) for each in (small, model))
        assert np.abs(answers - expected).mean() < 0.1


def test_what_a_model_has_not_learned_it_does_not_answer_by() -> None:
    assert read_model("base").sources == ("votes",)
    assert read_model("base").answering("votes").sources == ("votes",)
    with pytest.raises(ModelError, match="answers by votes; leave out --labels fer2013"):
        read_model("base").answering("fer2013")
    with pytest.raises(ModelError, match="a label source that its file does not name"):
        lively().answering("votes")


def test_keras_files_hold_one_head(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="keras (mien[keras]) is not installed")
    model = two_headed("classic")
    with pytest.raises(ModelError, match=r"not 'classic' of two heads; use \.safetensors"):
        write_model(model, tmp_path / "m.keras")


def test_predict_answers_by_the_head_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    model = two_headed()
    write_model(model, tmp_path / "m.onnx")
    Image.fromarray(FACES[0]).save(tmp_path / "face.png")
    for source in SOURCES:
        expected = predict_proba(model.answering(source), FACES[:1])[0]
        predictor = Predictor(tmp_path / "m.onnx", crop="none", labels=source)
        [answer] = predictor(tmp_path / "face.png")
        np.testing.assert_allclose(list(answer.faces[0].probabilities.values()), expected, atol=1e-4)
        command = [
            "predict",
            str(tmp_path / "face.png"),
            "--crop",
            "none",
            "--model",
            str(tmp_path / "m.onnx"),
            "--json",
        ]
        assert main([*command, "--labels", source]) == 0
        line = json.loads(capsys.readouterr().out)
        np.testing.assert_allclose(list(line["faces"][0]["probabilities"].values()), expected, atol=1e-3)
    assert (
        main(["predict", str(tmp_path / "face.png"), "--crop", "none", "--model", "base", "--labels", "fer2013"]) == 2
    )
    assert "answers by votes" in capsys.readouterr().err


# --- means


@pytest.fixture(scope="module")
def members() -> list[Model]:
    return [two_headed(), voting()]


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
def test_a_mean_is_the_mean_of_its_members(mirror: bool, suffix: str, members: list[Model], tmp_path: Path) -> None:
    """Of their probabilities, each at its own temperature, and for classes as frequent as for the first one."""
    mean = mean_of(members, mirror)
    write_model(mean, tmp_path / f"m{suffix}")
    back = read_model(tmp_path / f"m{suffix}")
    assert back.header() == mean.header()
    assert back.sources == SOURCES
    views = [FACES, FACES[:, :, ::-1]] if mirror else [FACES]
    for source, prior in SHARES.items():
        answers = []
        for member in members:
            if source in member.sources:
                one = member.answering(source)
                shifted = [predict_proba(one, view) * np.array(prior) / np.array(one.prior) for view in views]
                answers += [each / each.sum(1, keepdims=True) for each in shifted]
        expected = np.mean(answers, 0)
        for model in (mean, back):
            assert model.answering(source).prior == prior
            np.testing.assert_allclose(predict_proba(model.answering(source), FACES), expected, atol=1e-4)
    assert predict_proba(back, FACES[:0]).shape == (0, 7)


def test_the_mean_of_one_is_itself(members: list[Model]) -> None:
    np.testing.assert_allclose(predict_proba(mean_of(members[:1]), FACES), predict_proba(members[0], FACES), atol=1e-4)


def test_the_mean_of_int8_files_has_their_numbers(members: list[Model], tmp_path: Path) -> None:
    small = []
    for i, member in enumerate(members):
        write_int8(member, tmp_path / f"{i}.onnx", FACES)
        small.append(read_model(tmp_path / f"{i}.onnx"))
    mean = mean_of(small, mirror=True)
    write_model(mean, tmp_path / "mean.onnx")
    assert (tmp_path / "mean.onnx").stat().st_size < 1.1 * sum(
        (tmp_path / f"{i}.onnx").stat().st_size for i in range(2)
    )
    sides = [predict_proba(small[0].answering("fer2013"), view) for view in (FACES, FACES[:, :, ::-1])]
    back = read_model(tmp_path / "mean.onnx").answering("fer2013")
    np.testing.assert_allclose(predict_proba(back, FACES), np.mean(sides, 0), atol=1e-4)
    write_model(back, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "mean.onnx").read_bytes()
    with pytest.raises(ModelError, match="some models are in int8, others in float32"):
        mean_of([small[0], members[1]])


def test_a_mean_is_exported_to_int8(members: list[Model], tmp_path: Path) -> None:
    mean = mean_of(members, mirror=True)
    write_int8(mean, tmp_path / "m.onnx", FACES)
    answers = predict_proba(read_model(tmp_path / "m.onnx"), FACES)
    assert np.abs(answers - predict_proba(mean, FACES)).mean() < 0.1


def test_a_mean_is_only_asked_what_is_wanted(members: list[Model]) -> None:
    """One head's session holds nothing of members that have only the other."""
    header, arrays = json.dumps(mean_of(members).header()), mean_of(members).network.arrays  # type: ignore[attr-defined]
    sizes = [len(onnx_graph.encode(header, "float32", arrays, head)) for head in (None, 0, 1)]
    assert sizes[2] < sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: [], "the mean of no models"),
        (lambda: [lively(), lively(("a", "b"))], "another a, b; no mean of these"),
        (lambda: [voting(), lively()], "another does not"),
        (lambda: [mean_of([lively()])], "a mean of means"),
    ],
)
def test_what_does_not_go_together_has_no_mean(wrong: Callable[[], list[Model]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        mean_of(wrong())


def test_a_mean_is_not_explained_by_its_gradients(members: list[Model], tmp_path: Path) -> None:
    from mien.explain.heat import choose_method
    from mien.models.networks import torch_network

    write_model(mean_of(members), tmp_path / "m.safetensors")
    model = read_model(tmp_path / "m.safetensors")
    assert isinstance(model.network, MeanNetwork)
    assert choose_method(model, "auto") == "occlusion"
    with pytest.raises(ModelError, match="take one of its members"):
        torch_network(model)


# --- networks as plain data

DESCRIBED = [
    Architecture(((8, 8), (16,)), dropout=0.5, stage_dropout=0.2),
    Mean((Member("base", ("votes",)), Member(Architecture(((8,),), dropout=0.0), SOURCES)), mirror=True),
]


@pytest.mark.parametrize("network", [*ARCHITECTURES, *DESCRIBED])
def test_a_network_travels_as_plain_data(network: Any) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(network)))) == network
    assert network_name(network)
    assert empty_network(network, 7, 2)


ONE: Any = to_plain(DESCRIBED[0])
TWO: Any = to_plain(DESCRIBED[1])


@pytest.mark.parametrize(
    "plain",
    [
        ONE | {"stages": [[8]] * 6},
        ONE | {"stages": []},
        ONE | {"stages": [[]]},
        ONE | {"stages": [[0]]},
        ONE | {"stages": [[True]]},
        ONE | {"stages": [[8.0]]},
        ONE | {"stages": [[10**9]]},
        ONE | {"stages": [[512] * 64]},
        ONE | {"stages": [[8] * 65]},
        ONE | {"stages": "88"},
        ONE | {"dense": 10**9},
        ONE | {"dense": -1},
        ONE | {"dropout": 1.0},
        ONE | {"dropout": float("nan")},
        ONE | {"dropout": 0},
        ONE | {"block": "loop"},
        ONE | {"squeeze": -1},
        ONE | {"more": 1},
        {name: value for name, value in ONE.items() if name != "dropout"},
        TWO | {"members": []},
        TWO | {"members": [{"architecture": "base", "heads": ["votes"]}] * 9},
        TWO | {"members": [{"architecture": "base", "heads": ["votes", "votes"]}]},
        TWO | {"members": [{"architecture": "base", "heads": ["fer2013", "votes"]}]},
        TWO | {"members": [{"architecture": "base", "heads": ["x"]}]},
        TWO | {"members": [{"architecture": "base", "heads": []}]},
        TWO | {"members": [{"architecture": "vgg", "heads": ["votes"]}]},
        TWO | {"members": [{"architecture": TWO, "heads": ["votes"]}]},
        TWO | {"members": [{"architecture": "base", "heads": ["votes"]}, {"architecture": "base", "heads": [""]}]},
        TWO | {"mirror": 1},
        TWO | {"more": 1},
        ["base"],
        None,
        3,
    ],
)
@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_what_is_no_network_of_ours_is_refused_before_it_is_built(
    plain: Any, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_header(tmp_path / f"m{suffix}", architecture=plain)
    monkeypatch.setattr("mien.models.networks.Network.__init__", lambda *_: pytest.fail("it was built"))
    with pytest.raises(ModelError, match=r"export it again|not a model file|not an \.onnx file|in another way"):
        read_model(tmp_path / f"m{suffix}")


@pytest.mark.parametrize(
    "change",
    [
        {"others": [{"labels": "votes", "temperature": 1.0, "prior": []}]},
        {"others": [{"labels": "x", "temperature": 1.0, "prior": []}]},
        {"others": [{"labels": "fer2013", "temperature": 0.0, "prior": []}]},
        {"others": [{"labels": "fer2013", "temperature": 1.0, "prior": [0.5, 0.5]}]},
        {"others": [{"labels": "fer2013", "temperature": 1.0, "prior": []}] * 1000},
        {"others": 3},
        {"labels": "fer2013", "others": [{"labels": "votes", "temperature": 1.0, "prior": []}]},
        {"labels": ""},
        {"labels": ["votes"]},
    ],
)
def test_heads_that_do_not_fit_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    write_header(tmp_path / "m.onnx", **change)
    with pytest.raises(ModelError):
        read_model(tmp_path / "m.onnx")


def write_header(path: Path, **changes: Any) -> None:
    """A file that is sound but for its header."""
    model = two_headed()
    write_model(model, path)
    data, old = path.read_bytes(), json.dumps(model.header())
    if path.suffix == ".safetensors":
        from mien.models.formats.safetensors import sealed

        path.write_bytes(sealed(model.header() | changes, {}))
        return
    new = json.dumps(model.header() | changes)
    assert old.encode() in data
    metadata = onnx_graph.message((1, "mien"), (2, old)), onnx_graph.message((1, "mien"), (2, new))
    before, after = (onnx_graph.message((14, each)) for each in metadata)
    path.write_bytes(data.replace(before, after))
