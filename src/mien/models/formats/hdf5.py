"""HDF5 files as plain arrays, read in a process of their own.

HDF5's C library is not made for strangers' files: some damaged ones make it loop for ever or crash. So the bytes go to
a second Python, this file run as a program, which has little time and memory. It answers on stdout with one line of
JSON ({"texts": ..., "arrays": [[path, shape], ...]}) and then the arrays' numbers.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SECONDS, _CPU_SECONDS = 120, 5  # a sound file takes a fifth of a second, but a machine may be busy
_MOST_NUMBERS = 1 << 24  # the classic network with Adam's state: 2 million
_MOST_MEMORY = 4 << 30
_TEXTS = ("model_config", "mien")


@dataclass(frozen=True)
class Contents:
    """What a file holds: texts among the root's attributes (None where one is no text), and float32 arrays by path."""

    texts: dict[str, str | None]
    arrays: dict[str, NDArray[np.float32]]

    def below(self, path: str) -> dict[str, NDArray[np.float32]]:
        """The arrays under `path/`, by the rest of their paths."""
        start = f"{path}/"
        return {name.removeprefix(start): array for name, array in self.arrays.items() if name.startswith(start)}


def read_hdf5(data: bytes) -> Contents:
    """The contents of an HDF5 file; raises ValueError where it cannot be read.

    Only arrays of floats count that lie in the file itself as one run: none that are compressed, virtual, or reached
    by a link to elsewhere.
    """
    if getattr(sys, "frozen", False):  # sys.executable is then the app, which would start itself, and so on
        raise ValueError("an app made by PyInstaller does not read HDF5; export the model to .onnx, and take that")
    command = [sys.executable, "-P", __file__]  # -P: this file's neighbours are not what `import` means
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # its threads would count as memory
    try:
        done = subprocess.run(command, input=data, env=alone, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"HDF5 did not come to an end in {_SECONDS} seconds") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").splitlines() if done.returncode > 0 else []
        raise ValueError(said[-1] if said else "HDF5 crashed, or did not come to an end")
    described, _, numbers = done.stdout.partition(b"\n")
    fields = json.loads(described)
    return Contents(fields["texts"], _arrays(fields["arrays"], np.frombuffer(numbers, "<f4").copy()))


def _arrays(described: list[tuple[str, list[int]]], numbers: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    arrays, at = {}, 0
    for path, shape in described:
        size = int(np.prod(shape, dtype=np.int64))
        arrays[path] = numbers[at : at + size].reshape(shape)
        at += size
    return arrays


def _answer(data: bytes) -> bytes:
    """The other end: what `read_hdf5` takes apart."""
    import h5py

    _set_limits()
    arrays: dict[str, Any] = {}
    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(lambda path, item: arrays.update({path: item} if _is_plain(item, h5py.Dataset) else {}))
        size = sum(array.size for array in arrays.values())
        if size > _MOST_NUMBERS:
            raise ValueError(f"{size:,} numbers, more than the classic network and its optimiser have")
        texts = {name: _text(file, name) for name in _TEXTS if name in file.attrs}
        head = json.dumps({"texts": texts, "arrays": [[path, array.shape] for path, array in arrays.items()]})
        with np.errstate(over="ignore"):  # of float64: becomes infinite, which is refused later
            return b"\n".join([head.encode(), b"".join(array[()].astype("<f4").tobytes() for array in arrays.values())])


def _is_plain(item: Any, dataset: type) -> bool:
    return isinstance(item, dataset) and not (
        item.dtype.kind != "f" or item.shape is None or item.external or item.is_virtual or item.chunks
    )


def _text(file: Any, name: str) -> str | None:
    import h5py

    kind = file.attrs.get_id(name)
    if kind.shape != () or not h5py.check_string_dtype(kind.dtype):
        return None
    text = file.attrs[name]
    return text if isinstance(text, str) else text.decode()


def _set_limits() -> None:
    try:
        import resource
    except ImportError:  # on Windows
        return
    limits = {resource.RLIMIT_CPU: _CPU_SECONDS}
    if sys.platform == "linux":  # elsewhere it may be refused
        limits[resource.RLIMIT_AS] = _MOST_MEMORY
    for limit, most in limits.items():
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    try:
        answer = _answer(sys.stdin.buffer.read())
    except Exception as error:  # whatever it is: it ends this process, and its text is the answer
        sys.exit(f"{error}" or type(error).__name__)
    sys.stdout.buffer.write(answer)
