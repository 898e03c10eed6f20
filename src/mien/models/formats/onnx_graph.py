"""The bytes of an `.onnx` file: one chain of operators from faces to logits, in float32 or in int8.

In int8 the numbers between two operators are uint8, with 0 for zero: they follow a ReLU, which clipping at 0 is, so no
operator does it. Each convolution multiplies them by int8 weights and adds in int32. The gray values 0 to 255 enter as
they are, and the last layer, small beside the others, is left in float32. A dense layer over flattened maps is a
convolution whose kernel covers the whole map. The first convolution sees the face in blocks of 2x2 pixels, four
channels each, and gives the four pixels of each of its pool's windows as four groups of channels: the same sums, and
more than four times as fast, because gathering the pixels under a kernel is what takes the time there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.models.architectures import ARCHITECTURES, SIDE, Architecture
from mien.models.formats.protobuf import field, message, runs
from mien.models.model import checksum, parse_header

_IR_VERSION, _OPSET = 8, 17  # of 2022: onnxruntime 1.12 and newer
_INT, _INTS = 2, 7  # ONNX' numbers for an attribute's kind
_GRAPH, _WEIGHTS, _RAW, _METADATA = 7, 5, 9, 14  # ONNX' numbers of the fields that are read
_FLOAT, _UINT8, _INT8, _INT32, _INT64 = "<f4", "|u1", "|i1", "<i4", "<i8"  # as numpy calls them
_KINDS = {_FLOAT: 1, _UINT8: 2, _INT8: 3, _INT32: 6, _INT64: 7}  # ONNX' numbers for a tensor's kind

_PADDED = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
_POOL = {"kernel_shape": (2, 2), "strides": (2, 2)}


class Slot(NamedTuple):
    """An array that the file stores: what it is to its operator, its shape, and its kind as numpy calls it."""

    role: str
    shape: tuple[int, ...]
    kind: str = _FLOAT


class Step(NamedTuple):
    """One operator of the chain.

    inputs: their names, where {source} is the step before, {scale} what its uint8 numbers are multiples of, {own} the
    step itself.
    """

    operator: str
    attributes: Mapping[str, Sequence[int] | int] = {}
    slots: tuple[Slot, ...] = ()
    inputs: str = "{source}"


def stored(data: bytes) -> tuple[dict[str, str], list[bytes]]:
    """Metadata, and the bytes of each array, of an `.onnx` file; raises ValueError where it is none."""
    metadata = {next(runs(entry, 1)).decode(): next(runs(entry, 2)).decode() for entry in runs(data, _METADATA)}
    tensors = (tensor for graph in runs(data, _GRAPH) for tensor in runs(graph, _WEIGHTS))
    return metadata, [raw for tensor in tensors for raw in runs(tensor, _RAW)]


def slots(fields: Mapping[str, Any], precision: str) -> list[Slot]:
    """What the file of a model with these header fields stores, in order."""
    return [slot for step in _steps(fields, precision) for slot in step.slots]


def encode(header: str, precision: str, arrays: Sequence[NDArray[Any]]) -> bytes:
    """The file: ONNX' ModelProto. Source of the fields' numbers: github.com/onnx/onnx, onnx/onnx.proto."""
    stated = {} if precision == "float32" else {"precision": precision}
    metadata = {"mien": header, **stated, "sha256": checksum(header, arrays)}
    return message(
        (1, _IR_VERSION),
        (2, "mien"),
        (_GRAPH, _graph(parse_header(header), precision, arrays)),
        (8, message((2, _OPSET))),
        *((_METADATA, message((1, key), (2, value))) for key, value in metadata.items()),
    )


def _steps(fields: Mapping[str, Any], precision: str) -> list[Step]:
    """The operators from faces to logits; raises KeyError for an unknown precision."""
    body = {"float32": _float_steps, "int8": _int8_steps}[precision]
    architecture, classes = ARCHITECTURES[fields["architecture"]], len(fields["classes"])
    return [*body(architecture), _gemm(architecture.dense or architecture.features(), classes)]


def _float_steps(architecture: Architecture) -> Iterator[Step]:
    for channels_in, channels_out, pool in architecture.convolutions():
        kernel = Slot("weight", (channels_out, channels_in, 3, 3))
        yield Step("Conv", _PADDED, (kernel, Slot("bias", (channels_out,))), "{source} {own}.weight {own}.bias")
        if pool:
            yield Step("MaxPool", _POOL)
        yield Step("Relu")
    if not architecture.dense:
        yield Step("GlobalAveragePool")
    yield Step("Flatten")
    if architecture.dense:
        yield _gemm(architecture.features(), architecture.dense)
        yield Step("Relu")


def _int8_steps(architecture: Architecture) -> Iterator[Step]:
    (_, first, _), *others = architecture.convolutions()
    yield Step("SpaceToDepth", {"blocksize": 2})
    yield Step("QuantizeLinear", {}, (Slot("scale", ()),), "{source} {own}.scale zero")
    yield _int8_convolution((4 * first, 4, 3, 3), _PADDED)
    yield Step("Transpose", {"perm": (0, 2, 3, 1)})  # onnxruntime drops both: it keeps channels last by itself
    yield Step("Reshape", inputs="{source} windows")
    yield Step("Transpose", {"perm": (0, 3, 1, 2)})
    yield Step("MaxPool", {"kernel_shape": (1, 4), "strides": (1, 4)})
    for channels_in, channels_out, pool in others:
        yield _int8_convolution((channels_out, channels_in, 3, 3), _PADDED)
        if pool:
            yield Step("MaxPool", _POOL)
    if architecture.dense:
        side, channels = SIDE >> len(architecture.stages), architecture.stages[-1][-1]
        yield _int8_convolution((architecture.dense, channels, side, side), {"kernel_shape": (side, side)})
    yield Step("DequantizeLinear", inputs="{source} {scale} zero")
    if not architecture.dense:
        yield Step("GlobalAveragePool")
    yield Step("Flatten")


def _gemm(features: int, units: int) -> Step:
    arrays = Slot("weight", (units, features)), Slot("bias", (units,))
    return Step("Gemm", {"transB": 1}, arrays, "{source} {own}.weight {own}.bias")


def _int8_convolution(shape: tuple[int, ...], attributes: Mapping[str, Sequence[int]]) -> Step:
    """Convolution and ReLU: uint8 in, uint8 out, one scale for each output channel's weights."""
    arrays = (
        Slot("weight", shape, _INT8),
        Slot("weight_scale", shape[:1]),
        Slot("scale", ()),
        Slot("bias", shape[:1], _INT32),
    )
    weight, result = "{own}.weight {own}.weight_scale int8_zero", "{own}.scale zero"
    return Step("QLinearConv", attributes, arrays, f"{{source}} {{scale}} zero {weight} {result} {{own}}.bias")


def _graph(fields: Mapping[str, Any], precision: str, arrays: Sequence[NDArray[Any]]) -> bytes:
    """GraphProto: a chain of operators, each of which takes the one before it and its own arrays."""
    steps, classes = _steps(fields, precision), len(fields["classes"])
    outputs = [*(f"step{i}" for i in range(len(steps) - 1)), "logits"]
    nodes, tensors, left = [], [], iter(arrays)
    source, scale = "faces", ""
    for step, own in zip(steps, outputs, strict=True):
        inputs = step.inputs.format(source=source, scale=scale, own=own).split()
        nodes.append(_node(step.operator, step.attributes, inputs, own))
        tensors += [_tensor(f"{own}.{slot.role}", slot, next(left)) for slot in step.slots]
        scale = f"{own}.scale" if any(slot.role == "scale" for slot in step.slots) else scale
        source = own
    nodes.append(_node("Div", {}, ["logits", "temperature"], "tempered"))
    nodes.append(_node("Softmax", {"axis": 1}, ["tempered"], "probabilities"))
    for name, (kind, value) in _constants(fields, precision).items():
        tensors.append(_tensor(name, Slot(name, np.shape(value), kind), np.array(value)))
    return message(
        *((1, node) for node in nodes),
        (2, fields["architecture"]),
        *((_WEIGHTS, tensor) for tensor in tensors),
        (11, _value("faces", (1, SIDE, SIDE))),
        (12, _value("probabilities", (classes,))),
        (12, _value("logits", (classes,))),
    )


def _constants(fields: Mapping[str, Any], precision: str) -> dict[str, tuple[str, Any]]:
    """Kind and value of what the operators need beside the stored arrays."""
    if precision == "float32":
        return {"temperature": (_FLOAT, fields["temperature"])}
    channels = ARCHITECTURES[fields["architecture"]].stages[0][0]
    return {
        "temperature": (_FLOAT, fields["temperature"]),
        "windows": (_INT64, (0, SIDE // 2, SIDE * 2, channels)),  # 0: as many faces as there are
        "zero": (_UINT8, 0),
        "int8_zero": (_INT8, 0),
    }


def _node(operator: str, attributes: Mapping[str, Sequence[int] | int], inputs: Sequence[str], output: str) -> bytes:
    """NodeProto."""
    named = [(1, name) for name in inputs]
    settings = [(5, _attribute(name, value)) for name, value in attributes.items()]
    return message(*named, (2, output), (3, f"make_{output}"), (4, operator), *settings)


def _attribute(name: str, value: Sequence[int] | int) -> bytes:
    """AttributeProto: one number, or several."""
    if isinstance(value, int):
        return message((1, name), (3, value), (20, _INT))
    return message((1, name), *((8, number) for number in value), (20, _INTS))


def _tensor(name: str, slot: Slot, array: NDArray[Any]) -> bytes:
    """TensorProto, its numbers as little-endian bytes."""
    sizes = [(1, size) for size in slot.shape]
    return message(*sizes, (2, _KINDS[slot.kind]), (8, name), (_RAW, array.astype(slot.kind).tobytes()))


def _value(name: str, sizes: Sequence[int]) -> bytes:
    """ValueInfoProto of a float tensor whose first size is the batch's."""
    dimensions = [message((2, "batch")), *(message((1, size)) for size in sizes)]
    shape = message(*((1, dimension) for dimension in dimensions))
    return message((1, name), (2, field(1, message((1, _KINDS[_FLOAT]), (2, shape)))))
