"""A comparison of models as tables and sentences, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mien.folders import left_in, read_json, readable
from mien.records.comparison import COMPARISON, ModelScore, Pair
from mien.report.summaries import signed, verdict
from mien.report.tables import Table, ends, minus, percent

_AGAIN = "compare again (mien compare)"
_INTERVAL = "95 % interval"


class ComparisonTables(NamedTuple):
    """The scores of each model, the differences of each pair, and a sentence a pair."""

    models: Table
    pairs: Table
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonContent:
    """What a report shows of a comparison: of which faces, its tables, and the command that made it."""

    faces: str
    tables: ComparisonTables
    command: str


def comparison_tables(models: Sequence[ModelScore], pairs: Sequence[Pair]) -> ComparisonTables:
    """Tables with a column for each figure and one for its interval."""
    scores = tuple((one.model, *_accuracy(one), f"{one.macro_f1:.3f}", ends(one.macro_f1_ci95)) for one in models)
    head = ("model", "accuracy", _INTERVAL, "macro F1", _INTERVAL)
    return ComparisonTables(Table(head, scores), _differences(pairs), tuple(verdict(pair) for pair in pairs))


def read_comparison(folder: Path) -> ComparisonContent:
    """What `mien compare` left in a folder; raises UsageError where it left nothing, DataError for damage."""
    path = left_in(folder, COMPARISON, "mien compare A B --out FOLDER")
    facts = read_json(path, _AGAIN)
    with readable(path, _AGAIN):
        models = [ModelScore(**fields) for fields in facts["models"]]
        tables = comparison_tables(models, [Pair(**fields) for fields in facts["pairs"]])
        return ComparisonContent(f"{facts['n']:,} {facts['faces']}", tables, str(facts["command"]))


def _accuracy(one: ModelScore) -> tuple[str, str]:
    low, high = one.accuracy_ci95
    return percent(one.accuracy), f"{percent(low)} to {percent(high)}"


def _differences(pairs: Sequence[Pair]) -> Table:
    rows = []
    for pair in pairs:
        macro = [minus(f"{value:+.3f}") for value in (pair.macro_f1_difference, *pair.macro_f1_difference_ci95)]
        points = [signed(value) for value in (pair.accuracy_difference, *pair.accuracy_difference_ci95)]
        gaps = [cell for value, low, high in (points, macro) for cell in (value, f"{low} to {high}")]
        alone = f"{pair.only_b_right:,}", f"{pair.only_a_right:,}"
        rows.append((f"{pair.b} less {pair.a}", *gaps, *alone, f"{pair.mcnemar_p:.2g}"))
    gaps = ("accuracy, points", _INTERVAL, "macro F1", _INTERVAL)
    return Table(("difference", *gaps, "only first right", "only second right", "McNemar's p"), tuple(rows))
