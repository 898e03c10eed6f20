"""Options that several commands share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.cli.console import say, say_sizes
from mien.errors import UsageError

if TYPE_CHECKING:
    from mien.data.dataset import Dataset, Split
    from mien.models.model import Model


Data = Annotated[Path, tyro.conf.arg(aliases=["--data-dir"])]
ModelPath = Annotated[Path, tyro.conf.arg(aliases=["--model-path"])]
Flag = tyro.conf.FlagCreatePairsOff
Repeated = tyro.conf.UseAppendAction
Part = Literal["train", "val", "test"]
Labels = Literal["given", "votes"]
Prior = Literal["natural", "uniform"]
RUNS = Path("runs")
MOST_FACES = 12  # of one photo that are explained
_SEEDS = 2**32  # what every generator takes


def open_faces(data: Path, labels: Labels = "given", votes: Path | None = None) -> Split:
    """The faces that `--data`, `--labels` and `--votes` mean."""
    from mien.data.sources import open_data
    from mien.data.votes import join_split

    if votes and labels == "given":
        raise UsageError("--votes FILE is read with --labels votes; add that, or leave the file out")
    split = open_data(data)
    if labels == "votes":
        split, joined = join_split(votes_file(data, votes), split)
        for name, part in joined.items():
            say(f"{name}: left out {part.without:,} faces without votes, {part.other:,} with most for something else")
    say_sizes(data, split)
    return split


def votes_file(data: Path, votes: Path | None) -> Path:
    """The file with the votes: the one given, or the manifest of data that were prepared with votes."""
    from mien.data.manifest import MANIFEST

    if votes is None and not (data / MANIFEST).is_file():
        raise UsageError("--labels votes needs --votes FILE: fer2013new.csv, or a CSV of file and one column a class")
    return votes or data / MANIFEST


def check_seed(seed: int) -> None:
    """Raise UsageError for what no generator takes."""
    if not 0 <= seed < _SEEDS:
        raise UsageError(f"--seed {seed}: give a whole number from 0 to {_SEEDS - 1}")


def check_target(path: Path, network: str) -> None:
    """What cannot be written is better refused before training than after."""
    from mien.models.files import check_writable

    check_writable(path)
    if path.suffix.lower() in (".h5", ".keras") and network != "classic":
        raise UsageError(f"{path}: {path.suffix} holds the network 'classic', not '{network}'; use .safetensors")


def read_with_remark(model: Path) -> Model:
    """The model in a file; how its classes came to their names is said where it had none."""
    from mien.models.files import read_model

    read = read_model(model)
    if "classes" in read.notes:
        say(f"{model}: class names {read.notes['classes']}")
    return read


def part_to_score(parts: Split, name: Part) -> tuple[Dataset, Part]:
    """The part to score, and its name: val where there is no test part."""
    if name == "test" and not len(parts.test):
        say("there is no test part; scoring val instead")
        name = "val"
    return parts.part(name), name
