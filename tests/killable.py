"""A small run on drawn faces that can be killed anywhere and resumed; as a program: `killable.py FACES RUN`."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kill import kill_at

from mien.data.sources import open_data
from mien.records.recipe import Recipe
from mien.records.run import CONFIG, read_history
from mien.train.progress import Listener
from mien.train.run import RunConfig, read_start, resume_run, train_run

RECIPE = Recipe("small", network="pooled", epochs=6, batch_size=32, rate=5e-3, balance="none", ema=0.9)


def go(faces: Path, run: Path, epochs: int = RECIPE.epochs) -> None:
    """Start the run, or resume it."""
    if (run / CONFIG).exists():
        resume_run(read_start(run), run, Listener())
    else:
        recipe = replace(RECIPE, epochs=epochs)
        train_run(RunConfig(recipe, open_data(faces), 0, "cpu", str(faces), "killable"), run, Listener())


def killed_at(place: int, faces: Path, run: Path, epochs: int) -> None:
    """Start the run, or resume it, in this process, which is killed at its `place`-th call that changes the disk."""
    kill_at(place)
    go(faces, run, epochs)


def outcome(run: Path) -> dict[str, Any]:
    """All that a finished run leaves, but for its seconds."""
    timing = {"seconds": 0, "images_per_second": 0}
    return {
        "files": sorted(path.name for path in run.iterdir()),
        "model": (run / "model.safetensors").read_bytes(),
        "history": [asdict(epoch) | timing for epoch in read_history(run)],
        "ended": [line for line in (run / CONFIG).read_text().splitlines() if "ended" in line or "best_epoch" in line],
    }


if __name__ == "__main__":
    go(Path(sys.argv[1]), Path(sys.argv[2]), epochs=2)
