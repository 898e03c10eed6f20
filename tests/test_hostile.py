"""Model files from strangers: a model or a ModelError of one line, and nothing else."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FACES, lively

from mien.errors import ModelError
from mien.models.files import read_model, write_int8, write_model
from mien.models.mean import mean_of
from mien.models.networks import torch_network

SUFFIXES = (".safetensors", ".onnx", ".keras", ".h5")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model as `m` in every format, and with other weights as `twin`; read only."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras: Any = pytest.importorskip("keras", reason="keras (mien[keras]) is not installed")
    folder = tmp_path_factory.mktemp("files")
    for name, factor in (("m", 1.0), ("twin", 1.37)):
        for suffix in SUFFIXES:
            model = lively(architecture="classic" if suffix in (".keras", ".h5") else "pooled")
            for weight in torch_network(model).parameters():
                weight.data.mul_(factor)
            write_model(model, folder / f"{name}{suffix}")
            if suffix == ".onnx":
                write_int8(model, folder / f"{name}-int8.onnx", FACES)
                heads = [replace(model, labels=labels) for labels in ("votes", "fer2013")]
                write_model(mean_of(heads, mirror=True), folder / f"{name}-mean.onnx")
        layers = keras.layers
        stack = keras.Sequential([layers.Input((48, 48, 3)), layers.Rescaling(1 / 255)])
        for layer in (
            layers.Conv2D(8, 3, 2, activation="elu"),
            layers.BatchNormalization(),
            layers.AveragePooling2D(3),
        ):
            stack.add(layer)
        for layer in (layers.PReLU(shared_axes=[1, 2]), layers.Flatten(), layers.Dropout(0.5), layers.Dense(7)):
            stack.add(layer)
        stack.save(folder / f"{name}-stack.h5")
        stack.save(folder / f"{name}-stack.keras")
    return folder


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_model(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    return text


# --- kinds mixed up


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.marker}",))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pickles_are_never_opened(suffix: str, tmp_path: Path) -> None:
    pickled = io.BytesIO()
    torch.save(Payload(tmp_path / "ran"), pickled)
    plain = pickle.dumps(Payload(tmp_path / "ran"))
    for content in (plain, pickled.getvalue(), b"", b"\0" * 4096, b'{"a": 1}'):
        (tmp_path / f"m{suffix}").write_bytes(content)
        refusal(tmp_path / f"m{suffix}")
    assert not (tmp_path / "ran").exists()


def test_one_format_under_anothers_name_is_refused(files: Path, tmp_path: Path) -> None:
    for true in SUFFIXES:
        for said in set(SUFFIXES) - {true}:
            path = tmp_path / f"m{said}"
            path.write_bytes((files / f"m{true}").read_bytes())
            refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_too_large_is_not_opened(suffix: str, tmp_path: Path) -> None:
    with open(tmp_path / f"m{suffix}", "wb") as file:
        file.truncate(10**12)
    assert "larger than 64 MiB" in refusal(tmp_path / f"m{suffix}")


# --- .safetensors


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and numbers of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def whole(header: object, numbers: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def described(**changes: object) -> Callable[[dict[str, Any]], object]:
    """Changes Mien's own header inside the file's, and takes the checksum away."""

    def change(header: dict[str, Any]) -> None:
        fields = json.loads(header["__metadata__"]["mien"]) | changes
        header["__metadata__"] = {"mien": json.dumps(fields)}

    return change


def tensor(name: str, **changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda header: header[name].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tensor("head.bias", data_offsets=[0, 28]), "not a model file written by Mien, or a damaged one"),
        (tensor("head.bias", data_offsets=[10**15, 10**15 + 28]), "not a model file"),
        (tensor("head.bias", data_offsets=[-4, 24]), "not a model file"),
        (tensor("head.bias", shape=[10**18, 10**18]), "not a model file"),
        (tensor("head.bias", shape=[7, 1]), r"'head.bias' is float32 [7, 1] where the network has float32 [7]"),
        (tensor("head.bias", dtype="I32"), "'head.bias' is int32 [7] where the network has float32 [7]"),
        (tensor("head.bias", dtype="Q9"), "not a model file"),
        (lambda header: header.update(more=header.pop("head.bias")), "'head.bias' is missing, or more"),
        (lambda header: header.pop("__metadata__"), "not a model file"),
        (lambda header: header["__metadata__"].update(mien="{"), "not a model file"),
        (lambda header: header["__metadata__"].update(mien="[" * 10**5), "not a model file"),
        (lambda header: header["__metadata__"].update(mien="[]"), "not a model file"),
        (described(sha256="0" * 64), "its checksum does not fit"),
        (described(notes={"recipe": "another"}), "its checksum"),
        (described(architecture="vgg"), "made by another version of Mien (network 'vgg')"),
        (described(architecture=["pooled"]), "not a model file"),
        (described(preprocess={"size": 10**9}), "made by another version"),
        (described(preprocess={"code": "x"}), "not a model file"),
        (described(classes=["a"] * 7), "its classes are not 2 to 1000 different names"),
        (described(classes=[str(i) for i in range(10**6)]), "its classes are not 2 to 1000 different names"),
        (described(classes=["a", "b\n"]), "its classes are not"),
        (described(classes=["a", "b"]), "'head.bias' is float32 [7] where the network has float32 [2]"),
        (described(temperature=0), "its temperature is 0.0"),
        (described(temperature=float("nan")), "its temperature is nan"),
        (described(temperature="hot\n"), "not a model file"),
        (described(notes=None), "not a model file"),
    ],
)
def test_tricks_in_safetensors_are_refused(
    change: Callable[[dict[str, Any]], object], message: str, files: Path, tmp_path: Path
) -> None:
    header, numbers = parts(files / "m.safetensors")
    change(header)
    (tmp_path / "m.safetensors").write_bytes(whole(header, numbers))
    assert message in refusal(tmp_path / "m.safetensors")


@pytest.mark.parametrize("length", [0, 1, 10**8, 1 << 63, (1 << 64) - 1])
def test_a_wrong_length_of_the_header_is_refused(length: int, files: Path, tmp_path: Path) -> None:
    data = (files / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", length) + data[8:])
    assert "not a model file written by Mien" in refusal(tmp_path / "m.safetensors")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(suffix: str, value: float, files: Path, tmp_path: Path) -> None:
    model = lively()
    torch_network(model).head.weight.data[0, 0] = value
    write_model(model, tmp_path / f"m{suffix}")
    assert "holds numbers that no training leaves" in refusal(tmp_path / f"m{suffix}")


# --- .onnx


def onnx_tensor(proto: Any) -> Any:
    return proto.graph.initializer[0]


def outside(path: str) -> Callable[[Any], object]:
    """The first weights lie in another file."""

    def change(proto: Any) -> None:
        weights = onnx_tensor(proto)
        weights.ClearField("raw_data")
        weights.data_location = 1
        weights.external_data.add(key="location", value=path)

    return change


def endless(proto: Any) -> None:
    """A loop that runs 2^63 times before the answer."""
    from onnx import TensorProto, helper

    scalar = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    number = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["on"])], "body", [number, scalar[0]], [scalar[1]])
    proto.graph.initializer.append(helper.make_tensor("count", TensorProto.INT64, [], [2**63 - 1]))
    proto.graph.node.append(helper.make_node("Loop", ["count", ""], [], body=body))


@pytest.mark.parametrize(
    "change",
    [
        outside("../secret"),
        outside("secret"),
        outside("/etc/passwd"),
        endless,
        lambda proto: proto.graph.node[0].MergeFromString(b"\x3a\x04evil"),  # another domain
        lambda proto: setattr(proto.graph.node[2], "op_type", "PyOp"),
        lambda proto: onnx_tensor(proto).dims.__setitem__(0, 10**12),
        lambda proto: setattr(onnx_tensor(proto), "raw_data", b""),
        lambda proto: setattr(onnx_tensor(proto), "data_type", 8),
        lambda proto: proto.graph.node[0].attribute[1].ints.__setitem__(0, 10**9),  # padding
        lambda proto: proto.graph.node.add(op_type="Relu", input=["logits"], output=["more"]),
        lambda proto: proto.functions.add(name="f", domain="d"),
        lambda proto: proto.opset_import.add(domain="evil", version=1),
        lambda proto: proto.metadata_props.add(key="more", value="x"),
        lambda proto: setattr(proto.metadata_props[1], "value", "0" * 64),
        lambda proto: setattr(proto, "ir_version", 9),
        lambda proto: proto.ClearField("graph"),
    ],
)
def test_an_onnx_file_that_mien_did_not_write_is_refused(
    change: Callable[[Any], object], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx (mien[train]) is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path.parent / "secret").write_bytes(bytes(4 * 288))
    (tmp_path / "secret").symlink_to("/dev/zero")
    proto = onnx.load(files / "m.onnx", load_external_data=False)
    change(proto)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: pytest.fail("the file reached onnxruntime"))
    assert "export it again" in refusal(tmp_path / "m.onnx")


def test_an_onnx_file_without_our_header_is_refused(files: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx (mien[train]) is not installed")
    proto = onnx.load(files / "m.onnx")
    del proto.metadata_props[:]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    assert "not an .onnx file written by Mien" in refusal(tmp_path / "m.onnx")


def test_millions_of_fields_do_not_keep_the_reader_busy(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x01" * 10**7)
    assert "more than 1000 fields" in refusal(tmp_path / "m.onnx")


# --- .keras


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_is_not_unpacked(compression: int, files: Path, tmp_path: Path) -> None:
    contents = members(files / "m.keras") | {"config.json": b" " * (20 << 20)}
    path = packed(tmp_path / "m.keras", contents, compression)
    assert path.stat().st_size < 8 << 20
    assert "config.json is compressed, as Keras stores none" in refusal(path)


def test_names_that_lead_elsewhere_are_not_followed(files: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    contents = {"../evil": b"x", "/tmp/mien-evil": b"x", "assets/../../evil": b"x", **members(files / "m.keras")}
    path = packed(tmp_path / "in/m.keras", contents)
    assert read_model(path).classes == read_model(files / "m.keras").classes
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "m.keras"]
    assert not Path("/tmp/mien-evil").exists()


@pytest.mark.parametrize("missing", ["config.json", "model.weights.h5"])
def test_a_keras_file_that_lacks_a_part_is_refused(missing: str, files: Path, tmp_path: Path) -> None:
    contents = members(files / "m.keras")
    del contents[missing]
    assert f"it holds no {missing}" in refusal(packed(tmp_path / "m.keras", contents))


def test_code_in_a_keras_file_is_never_run(files: Path, tmp_path: Path) -> None:
    import keras

    marker = tmp_path / "ran"
    name = str(marker)
    layers = [keras.layers.Input((48, 48, 1)), keras.layers.Lambda(lambda x: Path(name).touch() or x)]
    keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(7, "softmax")]).save(tmp_path / "m.keras")
    marker.unlink(missing_ok=True)
    assert "is a layer Lambda" in refusal(tmp_path / "m.keras")
    assert not marker.exists()


def weights_changed(files: Path, path: Path, change: Callable[[Any], object]) -> Path:
    import h5py

    contents = members(files / "m.keras")
    inner = io.BytesIO(contents["model.weights.h5"])
    with h5py.File(inner, "r+") as file:
        change(file["layers/dense/vars"])
    return packed(path, contents | {"model.weights.h5": inner.getvalue()})


def replaced(make: Callable[[Any, Any], object]) -> Callable[[Any], object]:
    def change(variables: Any) -> None:
        import h5py

        del variables["0"]
        make(variables, h5py)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(lambda v, h5py: v.__setitem__("0", h5py.ExternalLink("/x.h5", "/x"))), "has {'bias'"),
        (replaced(lambda v, h5py: v.__setitem__("0", h5py.SoftLink("/layers/conv2d/vars/0"))), "has {'bias'"),
        (replaced(lambda v, h5py: v.create_dataset("0", (4608, 128), "f4", external="/x")), "has {'bias'"),
        (replaced(lambda v, h5py: v.create_dataset("0", (10**6, 10**6), "f4")), "1,000,001,"),
        (replaced(lambda v, h5py: v.create_dataset("0", (4608, 64), "f4")), "(4608, 64)"),
        (replaced(lambda v, h5py: v.create_dataset("x", (4608, 128), "f4")), "'x': (4608, 128)"),
        (
            lambda v: v.create_dataset("2", (3,), "f4"),
            " has 2, which Mien does not know",
        ),  # Keras numbers its layers: 'dense', or 'dense_58'
        (lambda v: v.create_virtual_dataset("2", __import__("h5py").VirtualLayout((3,), "f4")), ""),
    ],
)
def test_tricks_in_a_keras_files_weights_are_refused(
    change: Callable[[Any], object], message: str, files: Path, tmp_path: Path
) -> None:
    path = weights_changed(files, tmp_path / "m.keras", change)
    if message:
        assert message in refusal(path)
    else:
        read_model(path)  # what is not a plain array does not count, and nothing is missing


# --- .h5


def test_a_file_on_which_hdf5_never_ends_is_refused(files: Path, tmp_path: Path) -> None:
    """An empty object in the heap that holds the texts: HDF5 looks for its end for ever."""
    data = bytearray((files / "m.h5").read_bytes())
    at = data.index(b"GCOL") + 16
    data[at : at + 16] = bytes(16)
    (tmp_path / "m.h5").write_bytes(data)
    assert "HDF5 crashed, or did not come to an end" in refusal(tmp_path / "m.h5")


# --- damage


def read_damaged(files: Path, suffix: str, count: int, seed: int, tmp_path: Path, *how: str) -> None:
    model = tmp_path / f"m{suffix}"
    model.write_bytes((files / f"m{suffix}").read_bytes())
    script = Path(__file__).with_name("mutate.py")
    command = [sys.executable, str(script), str(model), str(files / f"twin{suffix}"), str(count), str(seed), *how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.returncode}, with {tmp_path}/damaged{suffix}: {done.stderr[-2000:]}"
    outcomes = json.loads(done.stdout)
    assert sum(outcomes.values()) == count
    assert outcomes["refused"] > count / 4


@pytest.mark.parametrize(
    ("suffix", "count"),
    [
        (".safetensors", 125),
        (".onnx", 125),
        ("-int8.onnx", 125),
        ("-mean.onnx", 75),
        (".keras", 25),
        (".h5", 25),
        ("-stack.keras", 25),
        ("-stack.h5", 25),
    ],
)
def test_damaged_files_give_a_model_or_an_error(suffix: str, count: int, files: Path, tmp_path: Path) -> None:
    read_damaged(files, suffix, count, 0, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [*SUFFIXES, "-int8.onnx", "-mean.onnx", "-stack.keras", "-stack.h5"])
def test_ten_thousand_damaged_files_give_a_model_or_an_error(suffix: str, files: Path, tmp_path: Path) -> None:
    read_damaged(files, suffix, 10_000, 1, tmp_path, "fork")
