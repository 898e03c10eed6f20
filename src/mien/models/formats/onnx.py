"""A model as one `.onnx` file: for prediction with onnxruntime, here or anywhere, without torch.

    input   faces          float32 [batch, 1, 48, 48], gray / 255
    output  probabilities  float32 [batch, K], temperature applied
    output  logits         float32 [batch, K], as the network gives them
    of a second head       <label source>_probabilities, <label source>_logits
    metadata: mien (JSON of `Model.header()`), precision (int8, where it is not float32), sha256 (checksum over the
    header and the weights)

Batch norm is folded into the convolutions. The file is written byte by byte, so header, precision and weights have
exactly one right file. Reading takes these out of a file, writes them anew, and refuses the file unless it is the same:
nothing but Mien's own graphs, with neither loops nor foreign operators nor paths to other files, ever reaches
onnxruntime.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mien.errors import ModelError
from mien.models.formats import onnx_graph
from mien.models.model import Model, check_numbers, parse_header
from mien.models.onnx_runtime import InferenceSession, open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.models.networks import AnyOfOurs, Network

_CALIBRATION_FACES = 512


@dataclass(frozen=True)
class OnnxNetwork:
    """A network that onnxruntime runs; header, precision and arrays are those of its file.

    The session computes one of its heads, on the CPU, and nothing that only the others need; `elsewhere` holds those of
    other devices, made when first asked for.
    """

    session: InferenceSession
    header: str
    precision: str
    arrays: list[NDArray[Any]]
    head: int = 0
    elsewhere: dict[str, InferenceSession] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, header: str, precision: str, arrays: list[NDArray[Any]], head: int = 0) -> OnnxNetwork:
        """The network of a file, answering by one of its heads."""
        return cls(open_session(onnx_graph.encode(header, precision, arrays, head)), header, precision, arrays, head)

    @classmethod
    def of(cls, model: Model, precision: str, arrays: list[NDArray[Any]]) -> OnnxNetwork:
        """The network of `model`, answering by its first head, whatever runs the model now."""
        return cls.open(json.dumps(model.header()), precision, arrays)

    def logits(self, faces: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Logits, float32 [B, K], of faces float32 [B, 1, 48, 48]."""
        session = self._on(device)
        output = session.get_outputs()[1].name
        return np.asarray(session.run([output], {"faces": faces})[0])

    def _on(self, device: str) -> InferenceSession:
        if device in ("auto", "cpu"):
            return self.session
        if device not in self.elsewhere:
            graph = onnx_graph.encode(self.header, self.precision, self.arrays, self.head)
            self.elsewhere[device] = open_session(graph, device=device)
        return self.elsewhere[device]

    def answering(self, head: int) -> OnnxNetwork:
        """The same weights, answering by another head."""
        return self.open(self.header, self.precision, self.arrays, head)

    def to_torch(self) -> AnyOfOurs:
        """The same weights in float32 as a torch network, each batch norm the identity."""
        from mien.models.formats.quantise import dequantized
        from mien.models.networks import MeanNetwork, empty_network, load_folded

        fields = parse_header(self.header)
        network = empty_network(fields["architecture"], len(fields["classes"]), 1 + len(fields["others"]))
        left = iter(self.arrays)
        for member in network.members if isinstance(network, MeanNetwork) else [network]:
            single = cast("Network", member)
            count = onnx_graph.array_count(single.architecture, single.head_count, self.precision)
            own = [next(left) for _ in range(count)]
            load_folded(single, own if self.precision == "float32" else dequantized(single.architecture, own))
        return network.eval()


def read(path: Path) -> Model:
    """The model in an `.onnx` file; raises ModelError unless the file is, byte for byte, one that Mien writes."""
    data = path.read_bytes()
    metadata, stored = onnx_graph.stored(data)
    header, precision = metadata["mien"], metadata.get("precision", "float32")
    fields = parse_header(header)
    slots = onnx_graph.slots(fields, precision)
    arrays = [np.frombuffer(raw, slot.kind).reshape(slot.shape) for raw, slot in zip(stored, slots, strict=False)]
    if len(arrays) != len(slots) or onnx_graph.encode(header, precision, arrays) != data:
        raise ModelError("not as Mien writes it: damaged, changed, or of another version; export it again")
    for number, (array, slot) in enumerate(zip(arrays, slots, strict=True)):
        check_numbers(array, f"weight {number}")
        if "scale" in slot.role and not (array > 0).all():
            raise ModelError(f"'weight {number}' holds scales that are not above zero; export it again")
    graph = onnx_graph.encode(header, precision, arrays, 0) if fields["others"] else data  # the same, of a single head
    return Model(OnnxNetwork(open_session(graph), header, precision, arrays), **fields)


def write(model: Model, path: Path) -> None:
    """Write `model` to an `.onnx` file; one that came from such a file keeps its precision."""
    precision, arrays = stored_form(model)
    path.write_bytes(onnx_graph.encode(json.dumps(model.header()), precision, arrays))


def stored_form(model: Model) -> tuple[str, list[NDArray[Any]]]:
    """Precision and arrays of the model's `.onnx` file."""
    if isinstance(model.network, OnnxNetwork):
        return model.network.precision, model.network.arrays
    from mien.models.networks import MeanNetwork, folded, torch_module

    network = torch_module(model)
    members = network.members if isinstance(network, MeanNetwork) else [network]
    return "float32", [array for member in members for array in folded(cast("Network", member))]


def write_int8(model: Model, path: Path, faces: NDArray[np.uint8]) -> None:
    """Write `model` in int8, its ranges those that suit some hundred of `faces`, uint8 [N, 48, 48], always the same."""
    from mien.models.formats.quantise import quantized
    from mien.models.networks import torch_module

    chosen = np.random.default_rng(0).permutation(len(faces))[:_CALIBRATION_FACES]
    arrays = quantized(torch_module(model), model.preprocess.scale(faces[chosen]))
    path.write_bytes(onnx_graph.encode(json.dumps(model.header()), "int8", arrays))
