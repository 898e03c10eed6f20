"""What the benchmarks share: a Keras environment, sides run in turn, machine facts, one Markdown table.

Only the standard library is imported, so that every script here also starts in the Keras environment.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import NoReturn

BENCH = Path(__file__).resolve().parent
SOURCE = BENCH.parent / "src"
KERAS_NEEDS = ("tensorflow==2.21.0", "keras==3.15.1", "scipy", "pillow")
FER_NEEDS = ("fer==25.10.3",)
CPU_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")  # what decides the speed on a CPU


@dataclass(frozen=True)
class Side:
    """One of two competitors: its name, and the command that measures it once.

    The command's last line on stdout is JSON, with at least the measured number and `library`.
    """

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """One measurement of one side: the number, what made it, and the other facts the side printed."""

    value: float
    library: str
    facts: dict[str, object]


Round = tuple[Reading, Reading]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that every comparison has."""
    flags = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013 as Kaggle's archive.zip")
    flags.add_argument("--rounds", type=int, default=3, help="how often each side is measured, in turn")
    flags.add_argument(
        "--keras-python", "--keras_python", type=Path, help="interpreter with tensorflow; made once if not given"
    )
    return flags


def check_archive(path: Path) -> None:
    """Exit with one line if `path` is no zip archive."""
    if not zipfile.is_zipfile(path):
        fail(f"{path}: not a zip archive; give Kaggle's FER-2013 archive with --data")


def fail(message: str) -> NoReturn:
    """Exit with code 2 and one line on stderr."""
    say(message)
    raise SystemExit(2)


def say(message: str) -> None:
    """One line of progress, on stderr."""
    print(message, file=sys.stderr, flush=True)


def keras_environment(python: Path | None) -> Path:
    """`python` if given, else the interpreter of an environment with TensorFlow, made on first use."""
    return own_environment("keras", KERAS_NEEDS, python)


def own_environment(name: str, needs: Sequence[str], python: Path | None = None) -> Path:
    """`python` if given, else the interpreter of an environment called `name` with `needs`, made on first use."""
    if python is not None:
        if not python.is_file():
            fail(f"{python}: no such interpreter; leave --{name}-python out and one is made")
        return python.absolute()  # not resolved: the link itself is what makes it the environment's own
    folder = Path(tempfile.gettempdir()) / f"mien-bench-{getpass.getuser()}" / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if not (done.is_file() and done.read_text() == "\n".join(needs)):
        say(f"installing {', '.join(needs)} into {folder}, once; this takes minutes")
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *needs], check=True, stdout=sys.stderr)
        done.write_text("\n".join(needs))
    return python


def environment() -> dict[str, str]:
    """The variables of a measured process: this tree's mien, Keras on TensorFlow, no GPU on either side."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")]))
    quiet = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return {**os.environ, **quiet, "PYTHONPATH": path}


def measure(side: Side, number: str) -> Reading:
    """Run one side once, in its own process, and read `number` from its last line; exit if it fails."""
    run = subprocess.run(side.command, env=environment(), capture_output=True, text=True)
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines:
        fail(f"{side.name} failed (exit code {run.returncode}): {' '.join(side.command)}\n{run.stderr[-2000:]}")
    facts = json.loads(lines[-1])
    return Reading(facts.pop(number), facts.pop("library"), facts)


def alternate(first: Side, second: Side, rounds: int, number: str) -> list[Round]:
    """Measure first, second, first, second ..., so that what else the machine does falls on both."""
    if rounds < 1:
        fail("nothing to measure; give --rounds 1 or more")
    readings: list[Round] = []
    for i in range(rounds):
        pair = measure(first, number), measure(second, number)
        say(f"round {i + 1}/{rounds}: {first.name} {pair[0].value:.4g}, {second.name} {pair[1].value:.4g}")
        readings.append(pair)
    return readings


def print_machine(packages: Sequence[str], readings: Sequence[Sequence[Reading]]) -> None:
    """CPU, cores, load and versions: a figure without them means nothing."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model, features = _cpu()
    print(f"- CPU: {model}, {cores} cores ({', '.join(features) or 'no AVX2'}); {platform.system()}")
    if hasattr(os, "getloadavg"):
        print(f"- load average over 15 minutes, these runs included: {os.getloadavg()[2]:.1f}")
    print(f"- Python {platform.python_version()}; " + ", ".join(f"{name} {_version(name)}" for name in packages))
    print("- sides: " + " | ".join(reading.library for reading in readings[0]))


def print_table(sides: tuple[Side, Side], unit: str, readings: Sequence[Round], *, more_is_better: bool) -> None:
    """One row a round and the medians; the ratio says how many times faster the first side is."""
    values = [(first.value, second.value) for first, second in readings]
    ratios = [first / second if more_is_better else second / first for first, second in values]
    middle = [median(column) for column in zip(*values, strict=True)]
    print(f"\n| round | {sides[0].name}, {unit} | {sides[1].name}, {unit} | ratio |\n| --- | ---: | ---: | ---: |")
    for i, ((first, second), ratio) in enumerate(zip(values, ratios, strict=True), start=1):
        print(f"| {i} | {_short(first)} | {_short(second)} | {ratio:.2f} |")
    spread = f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
    print(f"| **median** | **{_short(middle[0])}** | **{_short(middle[1])}** | **{spread}** |")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _cpu() -> tuple[str, list[str]]:
    """The CPU's name and those of CPU_FEATURES it has, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine(), ["features unknown"]
    lines = [line.partition(":") for line in info.read_text().splitlines()]
    facts = {key.strip(): value.strip() for key, _, value in lines}
    flags = set(facts.get("flags", "").split())
    name = f"{facts.get('model name', platform.machine())} (family {facts.get('cpu family', '?')})"
    return name, [feature for feature in CPU_FEATURES if feature in flags]
