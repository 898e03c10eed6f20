"""A model as one `.onnx` file: for prediction with onnxruntime, here or anywhere, without torch.

    input   faces          float32 [batch, 1, 48, 48], gray / 255
    output  probabilities  float32 [batch, K], temperature applied
    output  logits         float32 [batch, K], as the network gives them
    metadata: mien (JSON of `Model.header()`), sha256 (checksum over it and the weights)

Batch norm is folded into the convolutions. The file is written byte by byte, so a header and weights have exactly one
right file. Reading takes these two out of a file, writes them anew, and refuses the file unless it is the same: nothing
but Mien's own graphs, with neither loops nor foreign operators nor paths to other files, ever reaches onnxruntime.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mien.errors import ModelError, UsageError
from mien.models.architectures import ARCHITECTURES, SIDE, Architecture
from mien.models.model import Model, check_numbers, checksum, parse_header
from mien.models.protobuf import field, message, runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

try:
    import onnxruntime
except ImportError:
    raise UsageError(".onnx models need onnxruntime: pip install onnxruntime") from None

_IR_VERSION, _OPSET = 8, 17  # of 2022: onnxruntime 1.12 and newer
_FLOAT, _INT, _INTS = 1, 2, 7  # ONNX' numbers for a tensor's and an attribute's kind
_GRAPH, _WEIGHTS, _RAW, _METADATA = 7, 5, 9, 14  # ONNX' numbers of the fields that are read
_ERRORS_ONLY = 3

_ATTRIBUTES: dict[str, dict[str, Sequence[int] | int]] = {
    "Conv": {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)},
    "MaxPool": {"kernel_shape": (2, 2), "strides": (2, 2)},
    "Gemm": {"transB": 1},
    "Softmax": {"axis": 1},
}


class Step(NamedTuple):
    """One operator of the chain from faces to logits, and the shapes of its weights."""

    operator: str
    shapes: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class OnnxNetwork:
    """A network that onnxruntime runs, on the CPU."""

    session: onnxruntime.InferenceSession

    def logits(self, faces: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Logits, float32 [B, K], of faces float32 [B, 1, 48, 48]."""
        if device != "cpu":
            raise UsageError(f"--device {device}: an .onnx model runs on the CPU; use the .safetensors file")
        return np.asarray(self.session.run(["logits"], {"faces": faces})[0])


def read(path: Path) -> Model:
    """The model in an `.onnx` file; raises ModelError unless the file is, byte for byte, one that Mien writes."""
    data = path.read_bytes()
    header = dict(_metadata(entry) for entry in runs(data, _METADATA))["mien"]
    fields = parse_header(header)
    shapes = _shapes(ARCHITECTURES[fields["architecture"]], len(fields["classes"]))
    stored = [raw for graph in runs(data, _GRAPH) for weight in runs(graph, _WEIGHTS) for raw in runs(weight, _RAW)]
    weights = [np.frombuffer(raw, "<f4").reshape(shape) for raw, shape in zip(stored, shapes, strict=False)]
    if len(weights) != len(shapes) or _encode(header, weights) != data:
        raise ModelError("not as Mien writes it: damaged, changed, or of another version; export it again")
    for number, array in enumerate(weights):
        check_numbers(array, f"weight {number}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return Model(OnnxNetwork(session), **fields)


def write(model: Model, path: Path) -> None:
    """Write `model` to an `.onnx` file."""
    from mien.models.networks import folded, torch_network

    path.write_bytes(_encode(json.dumps(model.header()), folded(torch_network(model))))


def _steps(architecture: Architecture, classes: int) -> list[Step]:
    """The operators from faces to logits."""
    steps: list[Step] = []
    for channels_in, channels_out, pool in architecture.convolutions():
        steps.append(Step("Conv", ((channels_out, channels_in, 3, 3), (channels_out,))))
        steps += [Step("MaxPool")] if pool else []
        steps.append(Step("Relu"))
    features, dense = architecture.features(), architecture.dense
    steps += [Step("Flatten")] if dense else [Step("GlobalAveragePool"), Step("Flatten")]
    steps += [Step("Gemm", ((dense, features), (dense,))), Step("Relu")] if dense else []
    return [*steps, Step("Gemm", ((classes, dense or features), (classes,)))]


def _shapes(architecture: Architecture, classes: int) -> list[tuple[int, ...]]:
    return [shape for step in _steps(architecture, classes) for shape in step.shapes]


def _encode(header: str, weights: Sequence[NDArray[np.float32]]) -> bytes:
    """The file: ONNX' ModelProto. Source of the fields' numbers: github.com/onnx/onnx, onnx/onnx.proto."""
    fields = parse_header(header)
    metadata = {"mien": header, "sha256": checksum(header, weights)}
    return message(
        (1, _IR_VERSION),
        (2, "mien"),
        (_GRAPH, _graph(fields, weights)),
        (8, message((2, _OPSET))),
        *((_METADATA, message((1, key), (2, value))) for key, value in metadata.items()),
    )


def _graph(fields: dict[str, Any], weights: Sequence[NDArray[np.float32]]) -> bytes:
    """GraphProto: a chain of operators, each of which takes the one before it and its own weights."""
    classes = len(fields["classes"])
    steps = _steps(ARCHITECTURES[fields["architecture"]], classes)
    outputs = [*(f"step{i}" for i in range(len(steps) - 1)), "logits"]
    nodes, stored, left = [], [], iter(weights)
    for (operator, shapes), source, output in zip(steps, ["faces", *outputs], outputs, strict=False):
        names = [f"{output}.{role}" for role, _ in zip(("weight", "bias"), shapes, strict=False)]
        nodes.append(_node(operator, [source, *names], output))
        stored += [_tensor(name, next(left)) for name in names]
    nodes.append(_node("Div", ["logits", "temperature"], "tempered"))
    nodes.append(_node("Softmax", ["tempered"], "probabilities"))
    stored.append(_tensor("temperature", np.array(fields["temperature"], np.float32)))
    return message(
        *((1, node) for node in nodes),
        (2, fields["architecture"]),
        *((_WEIGHTS, tensor) for tensor in stored),
        (11, _value("faces", (1, SIDE, SIDE))),
        (12, _value("probabilities", (classes,))),
        (12, _value("logits", (classes,))),
    )


def _node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    """NodeProto."""
    attributes = [_attribute(name, value) for name, value in _ATTRIBUTES.get(operator, {}).items()]
    named = [(1, name) for name in inputs]
    return message(*named, (2, output), (3, f"make_{output}"), (4, operator), *((5, a) for a in attributes))


def _attribute(name: str, value: Sequence[int] | int) -> bytes:
    """AttributeProto: one number, or several."""
    if isinstance(value, int):
        return message((1, name), (3, value), (20, _INT))
    return message((1, name), *((8, number) for number in value), (20, _INTS))


def _tensor(name: str, array: NDArray[np.float32]) -> bytes:
    """TensorProto, its numbers as little-endian bytes."""
    sizes = [(1, size) for size in array.shape]
    return message(*sizes, (2, _FLOAT), (8, name), (_RAW, array.astype("<f4").tobytes()))


def _value(name: str, sizes: Sequence[int]) -> bytes:
    """ValueInfoProto of a float tensor whose first size is the batch's."""
    dimensions = [message((2, "batch")), *(message((1, size)) for size in sizes)]
    shape = message(*((1, dimension) for dimension in dimensions))
    return message((1, name), (2, field(1, message((1, _FLOAT), (2, shape)))))


def _metadata(entry: bytes) -> tuple[str, str]:
    """StringStringEntryProto: key and value."""
    return next(runs(entry, 1)).decode(), next(runs(entry, 2)).decode()
