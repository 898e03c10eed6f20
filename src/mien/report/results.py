"""What a report says of an evaluation: from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mien.records.evaluation import EvaluationRecord
from mien.report.summaries import certainty, summary
from mien.report.tables import Table, ends, percent, percent_interval

_PRIORS = {"natural": "as in training", "uniform": "uniform: each class as likely as any other"}


@dataclass(frozen=True)
class ResultsPart:
    """Words and tables about an evaluation; empty where there is none.

    right: how many predictions are. commonest, commonest_share: the most frequent class, and the accuracy of always
    predicting it.
    """

    record: EvaluationRecord | None = None
    right: int = 0
    commonest: str = ""
    commonest_share: float = 0.0
    summary: tuple[str, ...] = ()
    measures: Mapping[str, str] = field(default_factory=dict)
    per_class: Table | None = None
    confusion: Table | None = None
    corruptions: Table | None = None


def results_part(record: EvaluationRecord, others: Sequence[EvaluationRecord] = ()) -> ResultsPart:
    """What there is to say of an evaluation, and in a line each of other ones of the same model."""
    commonest, most = max(record.per_class.items(), key=lambda item: item[1].support)
    also = {
        f"also evaluated: {other.data} ({other.split}, {other.label_source}, {other.prior} prior)": (
            f"accuracy {percent(other.accuracy)} ({percent_interval(other.accuracy_ci95)}), macro F1 "
            f"{other.macro_f1:.3f}, n = {other.n:,}"
        )
        for other in others
    }
    return ResultsPart(
        record=record,
        right=sum(row[k] for k, row in enumerate(record.confusion)),
        commonest=commonest,
        commonest_share=most.support / record.n,
        summary=tuple(summary(record)),
        measures=measures(record) | also,
        per_class=class_table(record),
        confusion=_confusion(record),
        corruptions=_corruptions(record),
    )


def class_table(record: EvaluationRecord) -> Table:
    """Scores of each class that occurs, and their macro averages, with intervals of F1."""
    sure = record.bootstrap_ci95
    rows = [
        (name, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", ends(here.f1), f"{one.support:,}")
        for name, one, here in ((name, one, sure.per_class[name]) for name, one in record.per_class.items())
        if one.support
    ]
    macro = (f"{value:.3f}" for value in (record.macro_precision, record.macro_recall, record.macro_f1))
    head = ("class", "precision", "recall", "F1", "95 % interval of F1", "faces")
    return Table(head, (*rows, ("macro average", *macro, ends(sure.macro_f1), f"{record.n:,}")), total=True)


def measures(record: EvaluationRecord) -> dict[str, str]:
    """All that was measured, name to words."""
    sure = record.bootstrap_ci95
    return {
        "accuracy": f"{percent(record.accuracy)} (95 % interval {percent_interval(record.accuracy_ci95)})",
        "macro precision": f"{record.macro_precision:.3f} ({ends(sure.macro_precision)})",
        "macro recall": f"{record.macro_recall:.3f} ({ends(sure.macro_recall)})",
        "macro F1": f"{record.macro_f1:.3f} ({ends(sure.macro_f1)})",
        "cross-entropy": f"{record.nll:.3f}",
        **certainty(record),
        "faces": f"{record.n:,}",
        "label source": record.label_source,
        "class prior": _PRIORS[record.prior],
    }


def _confusion(record: EvaluationRecord) -> Table:
    lines = zip(record.classes, record.confusion, strict=True)
    rows = tuple((name, *(f"{count:,}" for count in line)) for name, line in lines)
    return Table(("true (rows), predicted (columns)", *record.classes), rows)


def _corruptions(record: EvaluationRecord) -> Table | None:
    if not record.corruptions:
        return None
    by_kind = record.corruptions.accuracy
    strengths = tuple(str(i) for i in range(1, 1 + len(next(iter(by_kind.values())))))
    return Table(("corruption", *strengths), tuple((kind, *map(percent, line)) for kind, line in by_kind.items()))
