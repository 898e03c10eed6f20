"""A model as one `.onnx` file: for prediction with onnxruntime, here or anywhere, without torch.

    input   faces          float32 [batch, 1, 48, 48], gray / 255
    output  probabilities  float32 [batch, K], temperature applied
    output  logits         float32 [batch, K], as the network gives them
    metadata: mien (JSON of `Model.header()`), precision (int8, where it is not float32), sha256 (checksum over the
    header and the weights)

Batch norm is folded into the convolutions. The file is written byte by byte, so header, precision and weights have
exactly one right file. Reading takes these out of a file, writes them anew, and refuses the file unless it is the same:
nothing but Mien's own graphs, with neither loops nor foreign operators nor paths to other files, ever reaches
onnxruntime.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ModelError, UsageError
from mien.models.formats import onnx_graph
from mien.models.model import Model, check_numbers, parse_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, which would leave a device id in the user's cache
try:
    import onnxruntime
except ImportError:
    raise UsageError(".onnx models need onnxruntime: pip install onnxruntime") from None

_ERRORS_ONLY = 3
_CALIBRATION_FACES = 512


@dataclass(frozen=True)
class OnnxNetwork:
    """A network that onnxruntime runs, on the CPU."""

    session: onnxruntime.InferenceSession

    def logits(self, faces: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Logits, float32 [B, K], of faces float32 [B, 1, 48, 48]."""
        if device not in ("auto", "cpu"):
            raise UsageError(f"--device {device}: an .onnx model runs on the CPU; use the .safetensors file")
        return np.asarray(self.session.run(["logits"], {"faces": faces})[0])


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
    return Model(OnnxNetwork(_session(data)), **fields)


def write(model: Model, path: Path) -> None:
    """Write `model` to an `.onnx` file."""
    from mien.models.networks import folded, torch_network

    path.write_bytes(onnx_graph.encode(json.dumps(model.header()), "float32", folded(torch_network(model))))


def write_int8(model: Model, path: Path, faces: NDArray[np.uint8]) -> None:
    """Write `model` in int8, its ranges those that suit some hundred of `faces`, uint8 [N, 48, 48], always the same."""
    from mien.models.formats.quantise import quantized
    from mien.models.networks import torch_network

    chosen = np.random.default_rng(0).permutation(len(faces))[:_CALIBRATION_FACES]
    arrays = quantized(torch_network(model), model.preprocess.scale(faces[chosen]))
    path.write_bytes(onnx_graph.encode(json.dumps(model.header()), "int8", arrays))


def _session(data: bytes) -> onnxruntime.InferenceSession:
    """The session of a sound file, with as many threads as OMP_NUM_THREADS says, which torch heeds as well.

    Between faces the threads sleep: spinning, as they would, they take the cores from torch where a model teaches.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    threads = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0  # 0: one a core
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
