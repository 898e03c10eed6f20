"""Reads many damaged copies of one model file, under limits; run by test_hostile.py in a process of its own.

    python mutate.py FILE TWIN COUNT SEED [fork]

TWIN is a file of the same kind with other weights: where the two agree is structure, which is hit more often. The
process ends at once, and not with 0, on anything but a model or a ModelError: another exception, a crash, a read that
does not end, memory beyond the limit, code run, a process started, a socket or another file opened.

With `fork`, HDF5 is read in a copy of this process instead of a new Python: the same code, under the same watch, many
times faster.
"""

import faulthandler
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import ModelError
from mien.models.files import read_model
from mien.models.formats import hdf5
from mien.models.model import predict_proba

WATCHED = 3  # exit code where something forbidden was about to happen
SECONDS = 300  # for one file; a sound one takes some hundredths
SPARE = 512 << 20  # bytes of address space beyond those in use once a sound file is read
FORBIDDEN = re.compile(
    r"socket\.|subprocess\.|pickle\.|marshal\.|ctypes\.|shutil\.|os\.(system|exec|spawn|posix|remove|rename|mkdir)"
    r"|exec$|compile$|import$|code\."
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, 1 << 63, (1 << 64) - 1)
FACES = np.random.default_rng(0).integers(0, 256, (2, 48, 48), np.uint8)


def mutate(data: bytes, structure: np.ndarray, rng: np.random.Generator) -> bytes:
    """`data` after one to three changes: bits, bytes, numbers, runs removed, added, moved or emptied, a cut end."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        anywhere = rng.random() < 0.3 or not len(structure)
        at = int(rng.integers(len(data)) if anywhere else rng.choice(structure))
        run = int(rng.integers(1, 1 << int(rng.integers(1, 12))))
        other = int(rng.integers(len(data)))
        match rng.integers(9):
            case 0:
                changed[at : at + 1] = bytes([data[at] ^ 1 << int(rng.integers(8))])
            case 1:
                changed[at : at + 1] = rng.bytes(1)
            case 2:
                size = int(rng.choice([1, 2, 4, 8]))
                value = int(NUMBERS[rng.integers(len(NUMBERS))]) & (1 << 8 * size) - 1
                changed[at : at + size] = value.to_bytes(size, "little")
            case 3:
                del changed[at : at + run]
            case 4:
                changed[at:at] = rng.bytes(run)
            case 5:
                changed[at : at + run] = rng.bytes(run)
            case 6:
                changed[at : at + run] = bytes(run)
            case 7:
                changed[at : at + run] = data[other : other + run]
            case 8 if rng.random() < 0.3:
                del changed[at:]
    return bytes(changed)


def mutate_member(data: bytes, rng: np.random.Generator) -> bytes:
    """A zip with one member changed, whose checksum is right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = str(rng.choice(list(members)))
    text = np.arange(min(len(members[name]), 1 << 14))  # where HDF5 keeps what it knows of the first groups
    members[name] = mutate(members[name], text, rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return packed.getvalue()


def watch(allowed: Path) -> None:
    """End the process if code from a file could be at work."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        elsewhere = event == "open" and arguments[0] != str(allowed) and not isinstance(arguments[0], int)
        reader = event == "subprocess.Popen" and arguments[1][1:] == ["-P", hdf5.__file__]
        if elsewhere or (FORBIDDEN.match(event) and not reader):
            os.write(2, f"{event} {arguments!r:.300}\n".encode())
            os._exit(WATCHED)

    sys.addaudithook(hook)


def limit_memory() -> None:
    used = int(re.search(r"VmSize:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10  # type: ignore[index]
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))


def in_a_fork(command: list[str], *, input: bytes, **_: object) -> subprocess.CompletedProcess[bytes]:
    """What `subprocess.run` gives for the reader of HDF5, from a copy of this process."""
    answer = os.memfd_create("answer")
    pid = os.fork()
    if not pid:
        signal.alarm(0)
        try:
            text, code = hdf5._answer(input), 0
        except Exception as error:
            text, code = str(error).encode(), 1
        with os.fdopen(answer, "wb") as file:
            file.write(text)
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == WATCHED:
        os._exit(WATCHED)
    os.lseek(answer, 0, os.SEEK_SET)
    with os.fdopen(answer, "rb") as file:
        text = file.read()
    return subprocess.CompletedProcess(command, code, text, text)


def outcome(path: Path) -> str:
    try:
        model = read_model(path)
        assert np.isfinite(predict_proba(model, FACES)).all()
    except ModelError as error:
        assert str(error).isprintable(), "more than one line"
        return "refused"
    return "model"


def main(path: Path, twin: Path, count: int, seed: int, forked: bool) -> None:
    if forked:
        import encodings.ascii  # noqa: F401

        import h5py  # noqa: F401 - now, not in every copy

        hdf5.subprocess.run = in_a_fork  # type: ignore[assignment]
    data, other = path.read_bytes(), twin.read_bytes()
    shorter = min(len(data), len(other))
    same = np.frombuffer(data[:shorter], np.uint8) == np.frombuffer(other[:shorter], np.uint8)
    damaged = path.with_name(f"damaged{path.suffix}")
    damaged.write_bytes(data)
    assert outcome(damaged) == "model"
    damaged.write_bytes(data[:1000])
    assert outcome(damaged) == "refused"  # and with that the ways of failing are imported too
    faulthandler.enable()
    limit_memory()
    watch(damaged)
    found: Counter[str] = Counter()
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        inside = path.suffix == ".keras" and rng.random() < 0.5
        changed = mutate_member(data, rng) if inside else mutate(data, np.flatnonzero(same), rng)
        with open(damaged, "wb") as file:
            file.write(changed)
        signal.alarm(SECONDS)
        found[outcome(damaged)] += 1
        signal.alarm(0)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:] == ["fork"])
