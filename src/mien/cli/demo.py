"""The whole way on drawn faces."""

from __future__ import annotations

import shlex
from pathlib import Path

from mien.cli.console import quoted, say
from mien.cli.options import RUNS, check_seed


def demo(out: Path | None = None, count: int = 2000, epochs: int = 10, seed: int = 0) -> None:
    """Run the whole way on drawn faces: draw, audit, prepare, explore, train, evaluate, explain, report.

    Args:
        out: the run folder; runs/demo if not given.
        count: number of faces to draw.
        epochs: passes over the training faces.
        seed: draws faces, division and training.
    """
    from mien.cli.app import call
    from mien.data.drawn import write_drawn
    from mien.folders import free_folder

    folder = out or free_folder(RUNS / "demo")
    faces, data = folder / "drawn", folder / "data"
    check_seed(seed)
    say(f"drawing {count:,} faces")
    write_drawn(faces, count, seed)
    here, model = f"--data {quoted(data)} --out {quoted(folder)}", f"--model {quoted(folder)}"
    audited = quoted(folder / "audit")
    # Few faces make few updates: smaller batches make more of them, and class weights would slow the start.
    for command in (
        f"audit {quoted(faces)} --out {audited}",
        f"prepare --input-dir {quoted(faces)} --output-dir {quoted(data)} --seed {seed}",
        f"explore {here} --seed {seed}",
        f"train {here} --seed {seed} --epochs {epochs} --batch-size 32 --balance none",
        f"evaluate {model} {here}",
        f"explain {model} {here}",
        f"report {quoted(folder)} --audit {audited}",
    ):
        say(f"\n$ mien {command}")
        call(shlex.split(command))
    print(f"\nthe report: {folder / 'report.html'}\nthe model:  {folder / 'model.safetensors'}")
