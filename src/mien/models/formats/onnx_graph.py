"""The bytes of an `.onnx` file: the operators from faces to logits and probabilities, in float32 or in int8.

In int8 the numbers between two operators are uint8, with 0 for zero: they follow a ReLU, which clipping at 0 is, so no
operator does it; only what a residual block adds up has 128 for zero. Each convolution multiplies them by int8 weights
and adds in int32. The gray values 0 to 255 enter as they are, and the last layer, small beside the others, is left in
float32. A dense layer over flattened maps is a convolution whose kernel covers the whole map. A first convolution that
pools sees the face in blocks of 2x2 pixels, four channels each, and gives the four pixels of each of its pool's windows
as four groups of channels: the same sums, and more than four times as fast, because gathering the pixels under a kernel
is what takes the time there.

The mean of several networks lays the mirrored faces behind the faces, sends all of them through each network, and takes
the mean of the probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.models.architectures import (
    LEAST_PROBABILITY,
    SIDE,
    Architecture,
    Layer,
    Mean,
    Member,
    architecture_of,
    network_name,
)
from mien.models.formats.protobuf import field as protobuf_field
from mien.models.formats.protobuf import message, runs
from mien.models.model import checksum, parse_header

_IR_VERSION, _OPSET = 8, 17  # of 2022: onnxruntime 1.12 and newer
_INT, _INTS = 2, 7  # ONNX' numbers for an attribute's kind
_GRAPH, _WEIGHTS, _RAW, _METADATA = 7, 5, 9, 14  # ONNX' numbers of the fields that are read
_FLOAT, _UINT8, _INT8, _INT32, _INT64 = "<f4", "|u1", "|i1", "<i4", "<i8"  # as numpy calls them
_KINDS = {_FLOAT: 1, _UINT8: 2, _INT8: 3, _INT32: 6, _INT64: 7}  # ONNX' numbers for a tensor's kind

_PADDED = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
_POOL = {"kernel_shape": (2, 2), "strides": (2, 2)}
_MIDDLE = 128  # stands for zero where numbers may be below it
_TO_THE_START = -(2**63) + 1  # where a slice that runs backwards ends


class Slot(NamedTuple):
    """An array that the file stores: what it is to its operator, its shape, and its kind as numpy calls it."""

    role: str
    shape: tuple[int, ...]
    kind: str = _FLOAT


class Step(NamedTuple):
    """One operator: names of what it takes and gives, its settings, and the arrays of its own that it takes as well."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Sequence[int] | int]
    slots: tuple[Slot, ...]


class Maps(NamedTuple):
    """What a layer gives: its name; in uint8 also what its numbers are multiples of, and the name of their zero."""

    name: str
    scale: str = ""
    zero: str = ""


@dataclass
class Graph:
    """Operators in order, constants by name with kind and value, and the names of the outputs, two for each head.

    prefix: of the names of the operators that are added.
    """

    steps: list[Step] = field(default_factory=list)
    constants: dict[str, tuple[str, Any]] = field(default_factory=dict)
    outputs: list[tuple[str, str]] = field(default_factory=list)
    prefix: str = ""

    def add(
        self,
        operator: str,
        inputs: str,
        slots: tuple[Slot, ...] = (),
        attributes: Mapping[str, Sequence[int] | int] | None = None,
        outputs: str = "",
    ) -> str:
        """Add an operator and return the name of what it gives; {own} in `inputs` stands for that name."""
        own = outputs or f"{self.prefix}step{sum(step.outputs[0].startswith(self.prefix) for step in self.steps)}"
        names = tuple(inputs.format(own=own).split())
        self.steps.append(Step(operator, names, tuple(own.split()), attributes or {}, slots))
        return own

    def only(self, head: int) -> set[str]:
        """Names of all that the outputs of one head depend on."""
        needed = set(self.outputs[head])
        for step in reversed(self.steps):
            if needed & set(step.outputs):
                needed.update(step.inputs)
        return needed


def stored(data: bytes) -> tuple[dict[str, str], list[memoryview]]:
    """Metadata, and the bytes of each array, of an `.onnx` file; raises ValueError where it is none."""
    metadata = {
        str(next(runs(entry, 1)), "utf-8"): str(next(runs(entry, 2)), "utf-8") for entry in runs(data, _METADATA)
    }
    tensors = (tensor for graph in runs(data, _GRAPH) for tensor in runs(graph, _WEIGHTS))
    return metadata, [raw for tensor in tensors for raw in runs(tensor, _RAW)]


def slots(fields: Mapping[str, Any], precision: str) -> list[Slot]:
    """What the file of a model with these header fields stores, in order."""
    return [slot for step in _graph(fields, precision).steps for slot in step.slots]


def array_count(architecture: Architecture, heads: int, precision: str) -> int:
    """How many arrays a file stores of one network."""
    graph = Graph()
    _add_network(graph, Member(architecture, ("",) * heads), "faces", 2, precision)
    return sum(len(step.slots) for step in graph.steps)


def output_names(head: int, sources: Sequence[str]) -> tuple[str, str]:
    """What the logits and probabilities of a head are called: plainly so those of the first."""
    return ("logits", "probabilities") if not head else (f"{sources[head]}_logits", f"{sources[head]}_probabilities")


def encode(header: str, precision: str, arrays: Sequence[NDArray[Any]], head: int | None = None) -> bytes:
    """The file: ONNX' ModelProto; with `head`, without what only other heads need.

    Source of the fields' numbers: github.com/onnx/onnx, onnx/onnx.proto.
    """
    stated = {} if precision == "float32" else {"precision": precision}
    metadata = {"mien": header, **stated, "sha256": checksum(header, arrays)}
    return message(
        (1, _IR_VERSION),
        (2, "mien"),
        (_GRAPH, _graph_bytes(parse_header(header), precision, arrays, head)),
        (8, message((2, _OPSET))),
        *((_METADATA, message((1, key), (2, value))) for key, value in metadata.items()),
    )


def _graph(fields: Mapping[str, Any], precision: str) -> Graph:
    """All operators of a file; raises KeyError for an unknown precision."""
    network, classes = fields["architecture"], len(fields["classes"])
    heads = [fields, *(head._asdict() for head in fields["others"])]
    sources = tuple(head["labels"] for head in heads)
    graph = Graph()
    for i, head in enumerate(heads):
        graph.constants[_temperature(i, sources)] = (_FLOAT, head["temperature"])
    if isinstance(network, Mean):
        _add_mean(graph, network, classes, precision)
    else:
        _add_network(graph, Member(network, sources), "faces", classes, precision)
    for i in range(len(heads)):
        logits, probabilities = output_names(i, sources)
        tempered = graph.add(
            "Div", f"{logits} {_temperature(i, sources)}", outputs=f"{logits}_tempered" if i else "tempered"
        )
        graph.add("Softmax", tempered, attributes={"axis": 1}, outputs=probabilities)
        graph.outputs.append((probabilities, logits))
    return graph


def _temperature(head: int, sources: Sequence[str]) -> str:
    return f"{sources[head]}_temperature" if head else "temperature"


def _add_network(graph: Graph, member: Member, source: str, classes: int, precision: str) -> list[str]:
    """Add the layers of a network and its heads; returns the names of the logits of each."""
    body = {"float32": _add_float_layers, "int8": _add_int8_layers}[precision]
    architecture = architecture_of(member.architecture)
    features = body(graph, architecture, source)
    gemm = _gemm_slots(architecture.dense or architecture.features(), classes)
    names = [graph.prefix + output_names(i, member.heads)[0] for i in range(len(member.heads))]
    for name in names:
        graph.add("Gemm", f"{features} {{own}}.weight {{own}}.bias", gemm, {"transB": 1}, name)
    return names


def _add_mean(graph: Graph, mean: Mean, classes: int, precision: str) -> None:
    """Add all networks of a mean, and for each head the logarithms of its mean probabilities, as its logits."""
    views, sources = "faces", mean.heads()
    if mean.mirror:
        for name, value in (("last", -1), ("before_first", _TO_THE_START), ("columns", 3), ("backwards", -1)):
            graph.constants[name] = (_INT64, (value,))
        mirrored = graph.add("Slice", "faces last before_first columns backwards", outputs="mirrored")
        views = graph.add("Concat", f"faces {mirrored}", attributes={"axis": 0}, outputs="views")
    graph.constants["least"] = (_FLOAT, LEAST_PROBABILITY)
    found: dict[str, list[str]] = {head: [] for head in sources}
    for number, member in enumerate(mean.members):
        graph.prefix = f"member{number}."
        for head, logits in zip(member.heads, _add_network(graph, member, views, classes, precision), strict=True):
            answer = graph.add("Softmax", logits, attributes={"axis": 1})
            if mean.mirror:
                halves = f"{answer}.face {answer}.mirrored"
                answer = graph.add("Split", answer, attributes={"axis": 0}, outputs=halves)
            found[head] += answer.split()
    graph.prefix = ""
    for i, answers in enumerate(found.values()):
        mean_answer = graph.add("Mean", " ".join(answers))
        graph.add("Log", graph.add("Max", f"{mean_answer} least"), outputs=output_names(i, sources)[0])


def _add_float_layers(graph: Graph, architecture: Architecture, source: str) -> str:
    given = [source]  # by the face and by each layer
    for layer in architecture.plan():
        taken, shape = [given[i + 1] for i in layer.sources], layer.shape
        slots = Slot("weight", shape), Slot("bias", shape[:1])
        if layer.kind == "sum":
            name = graph.add("Add", " ".join(taken))
        elif layer.kind == "gate":
            name = _add_gate(graph, taken[0], shape)
        elif layer.kind == "dense":
            flat = graph.add("Flatten", taken[0])
            units = _gemm_slots(shape[1] * shape[2] * shape[3], shape[0])
            name = graph.add("Gemm", f"{flat} {{own}}.weight {{own}}.bias", units, {"transB": 1})
        else:
            name = graph.add("Conv", f"{taken[0]} {{own}}.weight {{own}}.bias", slots, _window(shape))
        name = graph.add("MaxPool", name, attributes=_POOL) if layer.pool else name
        given.append(graph.add("Relu", name) if layer.relu else name)
    if architecture.dense:
        return given[-1]
    return graph.add("Flatten", graph.add("GlobalAveragePool", given[-1]))


def _add_int8_layers(graph: Graph, architecture: Architecture, source: str) -> str:
    plan = architecture.plan()
    blocks = plan[0].pool
    channels = plan[0].shape[0]
    if blocks:  # 0: as many faces as there are
        graph.constants[f"{graph.prefix}windows"] = (_INT64, (0, SIDE // 2, SIDE * 2, channels))
        source = graph.add("SpaceToDepth", source, attributes={"blocksize": 2})
    graph.constants |= {"zero": (_UINT8, 0), "int8_zero": (_INT8, 0)}
    if not all(layer.relu for layer in plan):
        graph.constants["middle"] = (_UINT8, _MIDDLE)
    gray = graph.add("QuantizeLinear", f"{source} {{own}}.scale zero", (Slot("scale", ()),))
    given = [Maps(gray, f"{gray}.scale", "zero")]  # by the face and by each layer
    for number, layer in enumerate(plan):
        taken = [given[i + 1] for i in layer.sources]
        if layer.kind == "gate":
            given.append(Maps(_add_gate(graph, _float_of(graph, taken[0]), layer.shape)))
        elif layer.kind == "sum":
            total = graph.add("Add", " ".join(_float_of(graph, maps) for maps in taken))
            name = graph.add("QuantizeLinear", f"{total} {{own}}.scale zero", (Slot("scale", ()),))
            pooled = graph.add("MaxPool", name, attributes=_POOL) if layer.pool else name
            given.append(Maps(pooled, f"{name}.scale", "zero"))
        elif blocks and not number:
            name = _add_int8_convolution(graph, taken[0], layer._replace(shape=(4 * channels, 4, 3, 3)))
            channels_last = graph.add("Transpose", name, attributes={"perm": (0, 2, 3, 1)})
            windows = graph.add("Reshape", f"{channels_last} {graph.prefix}windows")
            # onnxruntime drops both transpositions: it keeps channels last by itself
            channels_first = graph.add("Transpose", windows, attributes={"perm": (0, 3, 1, 2)})
            pooled = graph.add("MaxPool", channels_first, attributes={"kernel_shape": (1, 4), "strides": (1, 4)})
            given.append(Maps(pooled, f"{name}.scale", "zero"))
        else:
            name = _add_int8_convolution(graph, taken[0], layer)
            pooled = graph.add("MaxPool", name, attributes=_POOL) if layer.pool else name
            given.append(Maps(pooled, f"{name}.scale", "zero" if layer.relu else "middle"))
    features = _float_of(graph, given[-1])
    return graph.add("Flatten", features if architecture.dense else graph.add("GlobalAveragePool", features))


def _add_int8_convolution(graph: Graph, taken: Maps, layer: Layer) -> str:
    """Convolution and ReLU: uint8 in, uint8 out, one scale for each output channel's weights."""
    arrays = (
        Slot("weight", layer.shape, _INT8),
        Slot("weight_scale", layer.shape[:1]),
        Slot("scale", ()),
        Slot("bias", layer.shape[:1], _INT32),
    )
    weight, result = "{own}.weight {own}.weight_scale int8_zero", f"{{own}}.scale {'zero' if layer.relu else 'middle'}"
    inputs = f"{taken.name} {taken.scale} {taken.zero} {weight} {result} {{own}}.bias"
    attributes = {"kernel_shape": layer.shape[2:]} if layer.kind == "dense" else _window(layer.shape)
    return graph.add("QLinearConv", inputs, arrays, attributes)


def _add_gate(graph: Graph, maps: str, shape: tuple[int, ...]) -> str:
    """Squeeze-excitation in float32: its first convolution is of this shape."""
    units, channels = shape[:2]
    pooled = graph.add("GlobalAveragePool", maps)
    arrays = Slot("weight", shape), Slot("bias", (units,))
    squeezed = graph.add("Conv", f"{pooled} {{own}}.weight {{own}}.bias", arrays, _window(shape))
    back = (channels, units, 1, 1)
    arrays = Slot("weight", back), Slot("bias", (channels,))
    excited = graph.add("Conv", f"{graph.add('Relu', squeezed)} {{own}}.weight {{own}}.bias", arrays, _window(back))
    return graph.add("Mul", f"{maps} {graph.add('Sigmoid', excited)}")


def _float_of(graph: Graph, maps: Maps) -> str:
    """The maps in float32."""
    return graph.add("DequantizeLinear", " ".join(maps)) if maps.scale else maps.name


def _window(shape: tuple[int, ...]) -> Mapping[str, Sequence[int]]:
    """How a convolution's kernel lies on the maps: 3x3 with a border of zeros, or 1x1."""
    return _PADDED if shape[2] == 3 else {"kernel_shape": shape[2:]}


def _gemm_slots(features: int, units: int) -> tuple[Slot, ...]:
    return Slot("weight", (units, features)), Slot("bias", (units,))


def _graph_bytes(fields: Mapping[str, Any], precision: str, arrays: Sequence[NDArray[Any]], head: int | None) -> bytes:
    """GraphProto, of all heads or of one."""
    graph, classes = _graph(fields, precision), len(fields["classes"])
    heads = range(len(graph.outputs)) if head is None else (head,)
    needed: set[str] = set().union(*(graph.only(each) for each in heads))
    nodes, tensors, left = [], [], iter(arrays)
    for step in graph.steps:
        own = [_tensor(f"{step.outputs[0]}.{slot.role}", slot, next(left)) for slot in step.slots]
        if needed & set(step.outputs):
            nodes.append(_node(step))
            tensors += own
    for name, (kind, value) in graph.constants.items():
        if name in needed:
            tensors.append(_tensor(name, Slot(name, np.shape(value), kind), np.array(value)))
    return message(
        *((1, node) for node in nodes),
        (2, network_name(fields["architecture"])),
        *((_WEIGHTS, tensor) for tensor in tensors),
        (11, _value("faces", (1, SIDE, SIDE))),
        *((12, _value(name, (classes,))) for each in heads for name in graph.outputs[each]),
    )


def _node(step: Step) -> bytes:
    """NodeProto."""
    named = [*((1, name) for name in step.inputs), *((2, name) for name in step.outputs)]
    settings = [(5, _attribute(name, value)) for name, value in step.attributes.items()]
    return message(*named, (3, f"make_{step.outputs[0]}"), (4, step.operator), *settings)


def _attribute(name: str, value: Sequence[int] | int) -> bytes:
    """AttributeProto: one number, or several."""
    if isinstance(value, int):
        return message((1, name), (3, value), (20, _INT))
    return message((1, name), *((8, number) for number in value), (20, _INTS))


def _tensor(name: str, slot: Slot, array: NDArray[Any]) -> bytes:
    """TensorProto, its numbers as little-endian bytes."""
    sizes = [(1, size) for size in slot.shape]
    return message(*sizes, (2, _KINDS[slot.kind]), (8, name), (_RAW, array.astype(slot.kind, copy=False).tobytes()))


def _value(name: str, sizes: Sequence[int]) -> bytes:
    """ValueInfoProto of a float tensor whose first size is the batch's."""
    dimensions = [message((2, "batch")), *(message((1, size)) for size in sizes)]
    shape = message(*((1, dimension) for dimension in dimensions))
    return message((1, name), (2, protobuf_field(1, message((1, _KINDS[_FLOAT]), (2, shape)))))
