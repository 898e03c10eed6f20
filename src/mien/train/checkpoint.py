"""Checkpoints: where a run stands, in one file from which it goes on to the bit.

The file is safetensors; what is no tensor is JSON in its header, with the checksum over both that model files have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from mien import atomic
from mien.errors import TrainingError
from mien.models.formats.safetensors import sealed, unsealed
from mien.models.model import Model, checksum, parse_header
from mien.models.networks import build, torch_network
from mien.records.run import Epoch
from mien.train.state import State, copies, named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A state, the digest of what its run was started with, and what else its bits depend on, in words."""

    state: State
    run: str
    surroundings: dict[str, str]


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Put `checkpoint` in `path`'s place, whole or not at all."""
    state = checkpoint.state  # whose best epoch the file calls "kept", as version 0.1 did: its checkpoints still load
    tensors = {**state.tensors, **copies("kept", torch_network(state.model).state_dict())}
    arrays = {name: tensors[name].numpy() for name in sorted(tensors)}
    fields = {
        "run": checkpoint.run,
        "surroundings": checkpoint.surroundings,
        "history": [asdict(epoch) for epoch in state.history],
        "kept_epoch": state.best.epoch,
        "model": json.dumps(state.model.header()),
        "settings": state.settings,
        "schedule": state.schedule,
        "ended": state.ended,
        "tensors": _described(arrays),
    }
    atomic.write_bytes(path, sealed(fields, arrays))


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; raises TrainingError where it does not hold what was written."""
    try:
        with safe_open(path, framework="np") as file:
            header, digest = unsealed(file.metadata())
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
        fields = json.loads(header)
        if digest != checksum(header, arrays.values()) or fields["tensors"] != _described(arrays):
            raise ValueError("its checksum does not fit")
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path}: damaged ({_line(error)}), or of another version of Mien; put back a sound copy, or delete it "
            "and --resume starts this run anew"
        ) from None
    try:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return Checkpoint(_state(fields, tensors), fields["run"], fields["surroundings"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path}: made by another version of Mien ({_line(error)}); resume with that version, or delete it and "
            "--resume starts this run anew"
        ) from None


def _described(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, str]:
    """Kind and shape of each array, which the checksum over the numbers alone would not guard."""
    return {name: f"{array.dtype} {list(array.shape)}" for name, array in arrays.items()}


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _state(fields: dict[str, Any], tensors: dict[str, Tensor]) -> State:
    history = tuple(Epoch(**epoch) for epoch in fields["history"])
    model = parse_header(fields["model"])
    network = build(model["architecture"], len(model["classes"]), 1 + len(model["others"]))
    network.load_state_dict(named("kept", tensors))
    return State(
        history=history,
        best=history[fields["kept_epoch"] - 1],
        model=Model(network.eval(), **model),
        tensors={name: value for name, value in tensors.items() if not name.startswith("kept.")},
        settings=fields["settings"],
        schedule=fields["schedule"],
        ended=fields["ended"],
    )
