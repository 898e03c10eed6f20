"""Checkpoints: where a run stands, in one file from which it goes on to the bit.

The file is safetensors; what is no tensor is JSON in its header. The header also holds the SHA-256 of the whole
file, computed with zeros in its own place: no byte can change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from mien import atomic
from mien.errors import TrainingError
from mien.models.model import Model, parse_header
from mien.models.networks import build, torch_network
from mien.records.run import Epoch
from mien.train.state import State, copies, named

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT = "checkpoint.safetensors"

_KEY = "mien"
_NO_DIGEST = b'"sha256":"' + b"0" * 64 + b'"'
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')


@dataclass(frozen=True)
class Checkpoint:
    """A state, the digest of what its run was started with, and what else its bits depend on, in words."""

    state: State
    run: str
    surroundings: dict[str, str]


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Put `checkpoint` in `path`'s place, whole or not at all."""
    state = checkpoint.state
    tensors = {**state.tensors, **copies("kept", torch_network(state.model).state_dict())}
    fields = {
        "run": checkpoint.run,
        "surroundings": checkpoint.surroundings,
        "history": [asdict(epoch) for epoch in state.history],
        "kept_epoch": state.kept.epoch,
        "model": json.dumps(state.model.header()),
        "settings": state.settings,
        "schedule": state.schedule,
        "ended": state.ended,
    }
    data = save(tensors, {"sha256": "0" * 64, _KEY: json.dumps(fields)})
    digest = hashlib.sha256(data).hexdigest().encode()
    atomic.write_bytes(path, data.replace(_NO_DIGEST, b'"sha256":"' + digest + b'"', 1))


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; raises TrainingError where a byte of it is not as it was written."""
    data = path.read_bytes()
    if not _sound(data):
        raise TrainingError(
            f"{path}: damaged (its SHA-256 does not fit); put back a sound copy, or delete it and "
            "--resume starts this run anew"
        )
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        fields = json.loads(header["__metadata__"][_KEY])
        return Checkpoint(_state(fields, load(data)), fields["run"], fields["surroundings"])
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{path}: made by another version of Mien ({reason}); resume with that version, or delete it and "
            "--resume starts this run anew"
        ) from None


def _sound(data: bytes) -> bool:
    found = _DIGEST.search(data)
    if not found:
        return False
    blank = data[: found.start()] + _NO_DIGEST + data[found.end() :]
    return hashlib.sha256(blank).hexdigest().encode() == found[1]


def _state(fields: dict[str, Any], tensors: dict[str, Tensor]) -> State:
    history = tuple(Epoch(**epoch) for epoch in fields["history"])
    return State(
        history=history,
        kept=history[fields["kept_epoch"] - 1],
        model=_model(fields["model"], named("kept", tensors)),
        tensors={name: value for name, value in tensors.items() if not name.startswith("kept.")},
        settings=fields["settings"],
        schedule=fields["schedule"],
        ended=fields["ended"],
    )


def _model(header: str, weights: dict[str, Tensor]) -> Model:
    fields = parse_header(header)
    network = build(fields["architecture"], len(fields["classes"]))
    network.load_state_dict(weights)
    return Model(network.eval(), **fields)
