"""Models on the same faces: how much they differ, and whether that may be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from mien import atomic
from mien.csv_files import csv_text, read_rows
from mien.data.dataset import Dataset
from mien.errors import DataError
from mien.evaluate.bootstrap import macro_mean, rates, resample
from mien.evaluate.evaluation import Evaluation
from mien.evaluate.intervals import middle_95
from mien.records.comparison import MODELS, PAIRS, ComparisonRecord, ModelScore, Pair, SeedScores
from mien.records.evaluation import PREDICTIONS, EvaluationRecord
from mien.records.intervals import wilson
from mien.records.record import plain
from mien.records.run import GIVEN_MODELS, todays_notes

_COLUMNS = ("path", "label", "predicted")
_REMEDY = "give a table with path, label and predicted of each face once, as mien evaluate writes it (predictions.csv)"


@dataclass(frozen=True)
class Answers:
    """One model's predictions: by the path of each face, its label and the predicted class, as names.

    notes: what the model's file says of its training.
    """

    name: str
    by_path: dict[str, tuple[str, str]]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """M models on the same N faces: labels int64 [N], answers int64 [M, N], both indices of `classes`."""

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    models: tuple[ModelScore, ...]
    pairs: tuple[Pair, ...]
    seeds: tuple[SeedScores, ...]


def answers_of(evaluation: Evaluation, name: str, notes: Mapping[str, str]) -> Answers:
    """The predictions of the model called `name`, which was just evaluated."""
    names = np.array(evaluation.faces.classes)
    answers = zip(names[evaluation.faces.labels].tolist(), names[evaluation.predicted].tolist(), strict=True)
    return Answers(name, dict(zip(evaluation.faces.paths, answers, strict=True)), notes)


def labels_of(faces: Dataset, name: str) -> Answers:
    """The labels of `faces` as if they were predictions, to check others' against."""
    labels = [faces.classes[label] for label in faces.labels]
    return Answers(name, dict(zip(faces.paths, zip(labels, labels, strict=True), strict=True)))


def read_answers(path: Path) -> Answers:
    """The predictions in a `predictions.csv`, ours or anyone's; raises DataError where they cannot be used.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "theirs.csv"
    ...     _ = table.write_text("path,label,predicted\\nhappy/1.png,happy,sad\\n")
    ...     read_answers(table).by_path
    {'happy/1.png': ('happy', 'sad')}
    """
    by_path: dict[str, tuple[str, str]] = {}

    def add(row: dict[str, str]) -> None:
        face, label, answer = (row[name] for name in _COLUMNS)
        if not (face and label and answer):
            raise ValueError("path, label or predicted is empty")
        if face in by_path:
            raise ValueError(f"{face} occurs twice")
        by_path[face] = label, answer

    read_rows(path, _COLUMNS, add, _REMEDY)
    if not by_path:
        raise DataError(f"{path}: lists no predictions; {_REMEDY}")
    record = EvaluationRecord.found(path.parent) if path.name == PREDICTIONS else None
    return Answers(str(path), by_path, record.notes if record else {})


def check_same_faces(first: Answers, other: Answers) -> None:
    """Raise DataError unless both are about the same faces under the same labels."""
    missing, more = first.by_path.keys() - other.by_path.keys(), other.by_path.keys() - first.by_path.keys()
    if missing or more:
        examples = " or ".join(f"'{min(paths)}'" for paths in (missing, more) if paths)
        raise DataError(
            f"{other.name}: lacks {len(missing):,} of the faces of {first.name} and has {len(more):,} others "
            f"(such as {examples}); compare predictions for the same part of the same data"
        )
    differ = [path for path, (label, _) in first.by_path.items() if other.by_path[path][0] != label]
    if differ:
        raise DataError(
            f"{other.name}: has other labels than {first.name} for {len(differ):,} faces (such as '{differ[0]}'); "
            "score both by the same labels"
        )


def compare(given: Sequence[Answers]) -> Comparison:
    """Compare at least two models; their faces are joined by path.

    Raises DataError where faces or labels are not the same.

    >>> one = Answers("one", {"a/1.png": ("a", "a"), "b/2.png": ("b", "a")})
    >>> two = Answers("two", {"a/1.png": ("a", "a"), "b/2.png": ("b", "b")})
    >>> compare([one, two]).pairs[0].accuracy_difference
    0.5
    """
    first = given[0]
    for other in given[1:]:
        check_same_faces(first, other)
    classes = tuple(sorted({name for one in given for pair in one.by_path.values() for name in pair}))
    index = {name: k for k, name in enumerate(classes)}
    paths = tuple(first.by_path)
    labels = np.array([index[first.by_path[path][0]] for path in paths])
    answers = np.array([[index[one.by_path[path][1]] for path in paths] for one in given])
    scores = [_model_score(one.name, labels, row, len(classes)) for one, row in zip(given, answers, strict=True)]
    pairs = [
        _pair(given[i].name, given[j].name, labels, answers[[i, j]], len(classes))
        for i, j in combinations(range(len(given)), 2)
    ]
    corrected = zip(pairs, holm([pair.mcnemar_p for pair in pairs]), strict=True)
    pairs = tuple(replace(pair, holm_p=p) for pair, p in corrected)
    return Comparison(classes, paths, labels, answers, tuple(scores), pairs, _seed_scores(given, scores))


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p of McNemar's test (1947): of the faces that only one model gets right, does each get half?

    >>> mcnemar(5, 5)
    1.0
    """
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction (1979) for several tests: p's in the order given, each as the test's level must be compared to.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = largest
    return corrected


def comparison_record(comparison: Comparison, *, faces: str, command: str) -> ComparisonRecord:
    """The record of a comparison; `faces` says which ones were compared."""
    return ComparisonRecord(
        faces=faces,
        command=command,
        n=len(comparison.labels),
        models=comparison.models,
        pairs=comparison.pairs,
        seeds=comparison.seeds,
    )


def write_comparison(record: ComparisonRecord, folder: Path) -> None:
    """Write the record, and the fields of ModelScore and Pair as `models.csv` and `pairs.csv`.

    In `pairs.csv` a difference says what it is of: `accuracy_b_minus_a`.
    """
    record.write(folder)
    for file, rows in ((MODELS, record.models), (PAIRS, record.pairs)):
        flat = [_flat(plain(row)) for row in rows]
        atomic.write_text(folder / file, csv_text(list(flat[0]), (row.values() for row in flat)))


def _model_score(name: str, labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> ModelScore:
    (truth, answer), counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    here, drawn = (rates(sets, truth, answer, classes) for sets in (counts[None], resample(counts)))
    right = int((labels == predicted).sum())
    macro = float(macro_mean(here.f1)[0])
    return ModelScore(name, right / len(labels), wilson(right, len(labels)), macro, middle_95(macro_mean(drawn.f1)))


def _seed_scores(given: Sequence[Answers], models: Sequence[ModelScore]) -> tuple[SeedScores, ...]:
    """Mean and deviation of the models whose notes are the same but for the seed; only where there are several."""
    groups: dict[tuple[str, ...], dict[str, ModelScore]] = {}
    for one, scores in zip(given, models, strict=True):
        if {"recipe", "seed"} <= one.notes.keys():
            notes = todays_notes(one.notes)
            kind = tuple(notes.get(key, "") for key in ("recipe", "data", *GIVEN_MODELS))
            groups.setdefault(kind, {})[one.notes["seed"]] = scores
    return tuple(
        SeedScores(
            recipe=kind[0],
            models=tuple(one.model for one in group.values()),
            accuracy=mean(one.accuracy for one in group.values()),
            accuracy_sd=stdev(one.accuracy for one in group.values()),
            macro_f1=mean(one.macro_f1 for one in group.values()),
            macro_f1_sd=stdev(one.macro_f1 for one in group.values()),
        )
        for kind, group in groups.items()
        if len(group) > 1
    )


def _pair(a: str, b: str, labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Pair:
    """The differences of two models' predictions, int64 [2, N]."""
    (truth, *answers), counts = np.unique(np.vstack([labels, predicted]), axis=1, return_counts=True)
    accuracy, macro = [], []
    for sets in (counts[None], resample(counts)):
        first, second = (rates(sets, truth, answer, classes) for answer in answers)
        accuracy.append(second.accuracy - first.accuracy)
        macro.append(macro_mean(second.f1) - macro_mean(first.f1))
    a_right, b_right = predicted == labels
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    return Pair(
        a=a,
        b=b,
        accuracy_difference=float(accuracy[0][0]),
        accuracy_difference_ci95=middle_95(accuracy[1]),
        macro_f1_difference=float(macro[0][0]),
        macro_f1_difference_ci95=middle_95(macro[1]),
        only_a_right=only_a,
        only_b_right=only_b,
        mcnemar_p=mcnemar(only_a, only_b),
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a table: an interval as two columns, `_low` and `_high`."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        key, scalar = name.replace("_difference", "_b_minus_a"), isinstance(value, str | int | float)
        cells = {key: value} if scalar else {f"{key}_low": value[0], f"{key}_high": value[1]}
        flat |= {column: f"{cell:.6g}" if isinstance(cell, float) else cell for column, cell in cells.items()}
    return flat
