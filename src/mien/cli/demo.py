"""The whole way on drawn faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from mien.cli.console import command_line, say
from mien.cli.data import audit, explore, prepare
from mien.cli.evaluate import evaluate, explain
from mien.cli.options import RUNS, DataOptions, PartOptions, check_seed, option
from mien.cli.report import report
from mien.cli.train import train
from mien.extras import require


def demo(
    out: Annotated[Path | None, option("FOLDER", "runs/demo")] = None,
    count: int = 2000,
    epochs: int = 10,
    seed: int = 0,
) -> None:
    """Run the whole way on drawn faces: audit, prepare, train, evaluate, report.

    Args:
        out: the run folder.
        count: number of faces to draw.
        epochs: passes over the training faces.
        seed: draws faces, division and training.
    """
    require("mien demo", "torch", "safetensors", "scikit-learn", "scipy", "matplotlib", "jinja2")
    from mien.data.drawn import write_drawn
    from mien.folders import free_folder

    check_seed(seed)
    folder = out or free_folder(RUNS / "demo")
    faces, data, audited = folder / "drawn", folder / "data", folder / "audit"
    part = PartOptions(data)
    say(f"drawing {count:,} faces")
    write_drawn(faces, count, seed)
    _do(audit, data=faces, out=audited)
    _do(prepare, input_dir=faces, output_dir=data, seed=seed)
    _do(explore, data=data, out=folder, seed=seed)
    # Few faces make few updates: smaller batches make more of them, and class weights would slow the start.
    _do(train, data=DataOptions(data), out=folder, seed=seed, epochs=epochs, batch_size=32, balance="none")
    _do(evaluate, model=folder, data=part, out=folder)
    _do(explain, model=folder, data=part, out=folder)
    _do(report, run=folder, audit=audited)
    print(f"\nthe report: {folder / 'report.html'}\nthe model:  {folder / 'model.safetensors'}")


def _do(command: Callable[..., None], **arguments: Any) -> None:
    """Run a command, and show the line that would."""
    say(f"\n$ {command_line(command, arguments)}")
    command(**arguments)
