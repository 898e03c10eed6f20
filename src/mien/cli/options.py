"""Options that several commands share, said once, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import tyro

from mien.cli.console import say, say_sizes
from mien.errors import UsageError

if TYPE_CHECKING:
    from mien.data.dataset import Dataset, Split
    from mien.models.model import Model


def option(metavar: str, default: str, help: str | None = None) -> object:
    """How the help shows an option that may be left out, and what leaving it out means."""
    return tyro.conf.arg(metavar=metavar, help=help, help_behavior_hint=f"(default: {default})")


def several(metavar: str) -> object:
    """How the help shows values that follow one another."""
    return tyro.conf.arg(metavar=f"{metavar} ...", help_behavior_hint="")


# tuple[str, ...] and Path | None in forms for which tyro does not import typeguard, a third of what parsing takes.
OptionalPath = Optional[Path]  # noqa: UP045
Words = Annotated[
    tuple,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="",
        instance_from_str=tuple,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=list,
    ),
]


_OFF = tyro.conf.arg(help_behavior_hint="(default: off)")
Switch = Annotated[tyro.conf.FlagCreatePairsOff[bool], _OFF]
Repeated = tyro.conf.UseAppendAction
Labels = Literal["given", "votes", "fer2013"]
Prior = Literal["natural", "uniform"]
Device = Annotated[str, tyro.conf.arg(metavar="DEVICE", help='"auto" (a GPU where there is one), "cpu" or "cuda".')]
Json = Annotated[
    tyro.conf.FlagCreatePairsOff[bool],
    tyro.conf.arg(help="print the result as JSON.", help_behavior_hint="(default: off)"),
]
MODEL = tyro.conf.arg(
    name="model-path",
    aliases=["--model"],
    metavar="MODEL",
    help="model file (.safetensors, .onnx, .keras, .h5), run folder, or the name of a model that comes with Mien: "
    "large, base, tiny or base-fer2013.",
)
CLASSES = option(
    "NAMES", "as they are", "names for classes of the data: 1=surprise,2=fear,... (contempt= leaves one out)."
)
DATA = tyro.conf.arg(name="data-dir", aliases=["--data"], metavar="DATA", help_behavior_hint="(optional)")
RUNS = Path("runs")
_SEEDS = 2**32  # what every generator takes


@dataclass(frozen=True)
class DataOptions:
    """The labelled faces.

    Args:
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        labels: "given" by the data ("fer2013" means the same, of FER-2013), the "votes" of several annotators, or
            "both": then the network has two heads, and its model answers by either.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class.
    """

    data: Annotated[Path | None, DATA]
    labels: Labels | Literal["both"] = "given"
    votes: Annotated[Path | None, option("FILE", "those that the data were prepared with")] = None
    classes: Annotated[str, CLASSES] = ""

    @property
    def path(self) -> Path:
        """Where the faces are; raises UsageError unless it was given."""
        if self.data is None:
            raise UsageError("no faces are given; add --data DATA")
        return self.data

    @property
    def names(self) -> dict[str, str]:
        """What classes of the data are called; raises UsageError for what is no such list."""
        return data_names(self.classes)

    @property
    def votes_file(self) -> Path | None:
        """The file with the votes, if they are the labels: the one given, or the manifest of the data."""
        from mien.data.manifest import MANIFEST

        if self.labels not in ("votes", "both"):
            if self.votes:
                raise UsageError("--votes FILE is read with --labels votes; add that, or leave the file out")
            return None
        if self.votes is None and not (self.path / MANIFEST).is_file():
            raise UsageError(
                f"--labels {self.labels} needs --votes FILE: fer2013new.csv, or a CSV of file and one column a class"
            )
        return self.votes or self.path / MANIFEST

    def read(self) -> Split:
        """The faces, in their parts; says how many there are, and how many have no usable votes."""
        from mien.data.sources import open_data
        from mien.data.votes import join_split

        votes = self.votes_file
        split = open_data(self.path, classes=self.names)
        if votes:
            split, joined = join_split(votes, split, both=self.labels == "both")
            for name, part in joined.items():
                say(
                    f"{name}: left out {part.without:,} faces without votes, {part.other:,} with most for another class"
                )
        say_sizes(self.path, split)
        return split


@dataclass(frozen=True)
class PartOptions(DataOptions):
    """The labelled faces, of one part.

    Args:
        labels: "given" by the data ("fer2013" means the same, of FER-2013), or by the "votes" of several annotators. A
            model of two heads answers by the one that has learned these.
        split: the part of the data; "val" where there is no test part, "all" for all parts together.
        classes: names for classes of the data: 1=surprise,2=fear,... (contempt= leaves one out). Names without "=" are
            those of the model's classes, in its order, where its file does not say: angry,happy,...
    """

    labels: Labels = "given"
    split: Literal["train", "val", "test", "all"] = "test"
    classes: Annotated[str, option("NAMES", "as they are")] = ""

    @property
    def names(self) -> dict[str, str]:
        """What classes of the data are called."""
        return data_names(",".join(name for name in self.classes.split(",") if "=" in name))

    @property
    def order(self) -> str:
        """What the model's classes are called, in its order; "" where its file says."""
        return ",".join(name for name in self.classes.split(",") if "=" not in name)

    def fitting(self, model: Model, faces: Dataset) -> Model:
        """The model answering by the head that has learned the labels of these faces, if it has one of them."""
        from mien.data.layout import is_fer2013

        given = "fer2013" if is_fer2013(faces.paths) else "votes"  # as for any faces that people have named
        wanted = given if self.labels == "given" else self.labels
        if not model.others or wanted not in model.sources:
            return model
        say(f"of the model's heads ({' and '.join(model.sources)}), {wanted} answers")
        return model.answering(wanted)

    def choose(self, parts: Split) -> tuple[Dataset, str]:
        """The faces of the part, and its name."""
        if self.split == "test" and not len(parts.test):
            drawn = "; its faces were drawn from train, which the model may have learned" if parts.val_of_train else ""
            say(f"there is no test part; taking val instead{drawn}")
            return parts.part("val"), "val"
        return parts.part(self.split), self.split


NO_DATA = PartOptions(None)  # the default where data may be left out


@dataclass(frozen=True)
class ModelOptions:
    """The model.

    Args:
        classes: what the model's classes are called, in its order, where the file does not say: angry,happy,...
        labels: answer by FER+ "votes", what ten people see, or by "fer2013", the labels of that data set.
    """

    model: Annotated[Path, MODEL]
    classes: Annotated[str, option("NAMES", "the file's")] = ""
    labels: Annotated[str, option("{votes,fer2013}", "votes, where the model has learned them")] = ""

    def read(self) -> Model:
        """The model, answering as it is told to; see `read_with_remark`."""
        read = read_with_remark(self.model, self.classes)
        return read.answering(self.labels) if self.labels else read


BASE = ModelOptions(Path("base"))  # the default where a model may be left out


def read_with_remark(path: Path, classes: str = "") -> Model:
    """The model in a file; how its classes came to their names is said where it had none."""
    from mien.models.files import read_model

    read = read_model(path, classes.split(",") if classes else None)
    if "classes" in read.notes and not classes:
        say(
            f"{path}: class names {read.notes['classes']}; if they are others, say --classes a,b,c in the model's order"
        )
    return read


def data_names(text: str) -> dict[str, str]:
    """What classes of data are called, from a flag; raises UsageError for what is no list of <class>=<name>."""
    from mien.data.classes import read_names

    return read_names(text) if text else {}


def check_seed(seed: int) -> None:
    """Raise UsageError for what no generator takes."""
    if not 0 <= seed < _SEEDS:
        raise UsageError(f"--seed {seed}: give a whole number from 0 to {_SEEDS - 1}")
