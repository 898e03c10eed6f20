"""A comparison of models as tables and sentences, for the terminal and the report."""

from __future__ import annotations

from typing import NamedTuple

from mien.records.comparison import ComparisonRecord, Pair, SeedScores
from mien.report.summaries import verdict
from mien.report.tables import Table, ends, minus, p_value, percent, percent_interval, signed

_SEEDS = ("recipe", "seeds", "accuracy, mean ± sd", "macro F1, mean ± sd")
_INTERVAL = "95 % interval"
_SCORES = ("model", "accuracy", _INTERVAL, "macro F1", _INTERVAL)
_DIFFERENCES = (
    "difference", "accuracy, points", _INTERVAL, "macro F1", _INTERVAL, "only first right", "only second right",
    "McNemar's p", "Holm's p",
)  # fmt: skip


class ComparisonTables(NamedTuple):
    """Which faces were compared, the scores of each model, the differences of each pair, and a sentence a pair.

    seeds: mean and standard deviation of models that differ in their seed alone; no rows where there are none.
    """

    faces: str
    models: Table
    pairs: Table
    verdicts: tuple[str, ...]
    seeds: Table


def comparison_tables(record: ComparisonRecord) -> ComparisonTables:
    """Tables with a column for each figure and one for its interval."""
    scores = tuple(
        (
            one.model,
            percent(one.accuracy),
            percent_interval(one.accuracy_ci95),
            f"{one.macro_f1:.3f}",
            ends(one.macro_f1_ci95),
        )
        for one in record.models
    )
    return ComparisonTables(
        faces=f"{record.n:,} {record.faces}",
        models=Table(_SCORES, scores),
        pairs=Table(_DIFFERENCES, tuple(map(_differences, record.pairs))),
        verdicts=tuple(verdict(pair, len(record.pairs)) for pair in record.pairs),
        seeds=Table(_SEEDS, tuple(map(_seeds, record.seeds))),
    )


def _seeds(group: SeedScores) -> tuple[str, ...]:
    accuracy = f"{percent(group.accuracy).removesuffix(' %')} ± {percent(group.accuracy_sd)}"
    return group.recipe, str(len(group.models)), accuracy, f"{group.macro_f1:.3f} ± {group.macro_f1_sd:.3f}"


def _differences(pair: Pair) -> tuple[str, ...]:
    macro = [minus(f"{value:+.3f}") for value in (pair.macro_f1_difference, *pair.macro_f1_difference_ci95)]
    points = [signed(value) for value in (pair.accuracy_difference, *pair.accuracy_difference_ci95)]
    cells = [cell for value, low, high in (points, macro) for cell in (value, f"{low} to {high}")]
    alone = f"{pair.only_b_right:,}", f"{pair.only_a_right:,}"
    return f"{pair.b} \u2212 {pair.a}", *cells, *alone, _p(pair.mcnemar_p), _p(pair.p)


def _p(p: float) -> str:
    return p_value(p).removeprefix("p ").removeprefix("= ")
