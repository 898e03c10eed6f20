"""From nothing to an answer: `mien predict PHOTO` beside `fer`, what `import mien` costs, and the size of both.

    python bench/start.py photo.jpg --model base

Each time is that of a whole process, the sides in turn. Both sides have an environment of their own, made on first use;
--mien-python and --fer-python name others. PHOTO shows at least one face.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from common import BENCH, FER_NEEDS, fail, own_environment, say

MIEN_NEEDS = (str(BENCH.parent),)
FER_CALL = """
import sys, cv2
from fer.fer import FER
sys.exit(0 if FER().detect_emotions(cv2.imread(sys.argv[1])) else "no face found")
"""
IMPORTS = 20  # processes a side
TOOLS = ("pip", "setuptools", "pkg_resources")  # what an environment holds before anything is installed


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("photo", type=Path)
    flags.add_argument("--model", default="base")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--mien-python", "--mien_python", type=Path)
    flags.add_argument("--fer-python", "--fer_python", type=Path)
    args = flags.parse_args()
    mien = own_environment("mien", MIEN_NEEDS, args.mien_python)
    fer = own_environment("fer", FER_NEEDS, args.fer_python)
    ours = [mien, "-m", "mien", "predict", args.photo, "--model", args.model]
    theirs = [fer, "-c", FER_CALL, args.photo]
    in_turn("mien predict", ours, "fer, import and one call", theirs, 1)  # both read from disk before it counts
    times = in_turn("mien predict", ours, "fer, import and one call", theirs, args.rounds)
    print(f"mien predict: {times[0]:.2f} s; fer: {times[1]:.2f} s; ratio {times[1] / times[0]:.1f}")
    times = in_turn("import mien", [mien, "-c", "import mien"], "bare Python", [mien, "-c", ""], IMPORTS)
    print(f"import mien: {1000 * (times[0] - times[1]):.0f} ms over bare Python's {1000 * times[1]:.0f} ms")
    print(f"installed: mien {megabytes(mien):,} MB, fer {megabytes(fer):,} MB")


def in_turn(
    first_name: str, first: Sequence[object], second_name: str, second: Sequence[object], rounds: int
) -> tuple[float, float]:
    """Median seconds of two commands, run in turn."""
    pairs = [(seconds(first_name, first), seconds(second_name, second)) for _ in range(rounds)]
    say(f"{first_name}, {second_name}, in seconds: " + "; ".join(f"{one:.3f}, {two:.3f}" for one, two in pairs))
    ours, theirs = zip(*pairs, strict=True)
    return median(ours), median(theirs)


def seconds(name: str, command: Sequence[object]) -> float:
    """How long a command takes from start to end, in seconds; exits if it fails."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    start = time.perf_counter()
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=clean)
    taken = time.perf_counter() - start
    if run.returncode:
        fail(f"{name} failed (exit code {run.returncode}):\n{run.stderr[-2000:]}")
    return taken


def megabytes(python: Path) -> int:
    """What is installed in an environment, in MB."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    files = (file for file in packages.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files if not file.relative_to(packages).parts[0].startswith(TOOLS)) >> 20


if __name__ == "__main__":
    main()
