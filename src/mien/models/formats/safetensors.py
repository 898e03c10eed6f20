"""The native model file: weights as safetensors, the rest as JSON in the header, and a checksum over both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.errors import ModelError, UsageError
from mien.models.model import Model, check_numbers, checksum, parse_header

try:
    import numpy as np
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import save

    from mien.models.networks import AnyOfOurs, empty_network, torch_module
except ImportError as error:
    raise UsageError(f".safetensors models need torch and safetensors ({error}): pip install '.[train]'") from None

_KEY, _CHECKSUM = "mien", "sha256"  # one key: safetensors writes several in any order
_AGAIN = "train or export it again"
Arrays = dict[str, "np.ndarray[Any, Any]"]


def read(path: Path) -> Model:
    """The model in a `.safetensors` file; raises ModelError unless Mien wrote it and every byte still counts."""
    try:
        with safe_open(path, framework="np") as file:
            header, digest = unsealed(file.metadata())
            fields = parse_header(header)
            network = empty_network(fields["architecture"], len(fields["classes"]), 1 + len(fields["others"]))
            expected = _arrays(network)
            for name in sorted({*expected} ^ {*file.keys()}):
                raise ModelError(f"'{name}' is missing, or more than the network has; {_AGAIN}")
            arrays = {name: file.get_tensor(name) for name in expected}
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    for name, array in arrays.items():
        kinds = [f"{a.dtype} {list(a.shape)}" for a in (array, expected[name])]
        if kinds[0] != kinds[1]:
            raise ModelError(f"'{name}' is {kinds[0]} where the network has {kinds[1]}; {_AGAIN}")
        check_numbers(array, name)
    if digest != checksum(header, arrays.values()):
        raise ModelError(f"damaged: its checksum does not fit its content; {_AGAIN}")
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return Model(network.eval(), **fields)


def write(model: Model, path: Path) -> None:
    """Write `model` to a `.safetensors` file."""
    # not `save_file`: it makes a temporary file of its own, which a killed process would leave behind
    path.write_bytes(sealed(model.header(), _arrays(torch_module(model))))


def sealed(fields: dict[str, Any], arrays: Arrays) -> bytes:
    """A safetensors file of arrays, in their names' order, with fields and the checksum over both in its header."""
    digest = checksum(json.dumps(fields), arrays.values())
    return save(arrays, {_KEY: json.dumps(fields | {_CHECKSUM: digest})})


def unsealed(metadata: Mapping[str, str] | None) -> tuple[str, str]:
    """The header as it was before the checksum was added to it, and the checksum."""
    fields = json.loads((metadata or {})[_KEY])
    digest = fields.pop(_CHECKSUM)
    return json.dumps(fields), digest


def _arrays(network: AnyOfOurs) -> Arrays:
    """The network's tensors by name, in the names' order."""
    state = network.state_dict()
    return {name: state[name].detach().cpu().contiguous().numpy() for name in sorted(state)}
