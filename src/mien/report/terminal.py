"""Results as plain text, for a terminal: the report's own words and tables, in another layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.records.audit import AuditRecord
from mien.records.comparison import ComparisonRecord
from mien.records.data import Preparation
from mien.records.evaluation import EvaluationRecord, Scores
from mien.report.audit import audit_words, copy_words
from mien.report.comparison import comparison_tables
from mien.report.results import class_table, measures
from mien.report.summaries import summary
from mien.report.tables import Table, counts_table, latex_table, percent, title, whole_percent

if TYPE_CHECKING:
    from mien.evaluate.calibration import Calibration
    from mien.train.trainer import TrainResult


def preparation_text(facts: Preparation) -> str:
    """Counts by part and class, copies, and what was left out."""
    words = copy_words(facts) | {"blank images": f"{facts.blank:,}"}
    if votes := facts.votes:
        words["votes"] = (
            f"{votes.faces:,} faces have them; --labels votes leaves out {votes.without:,} without votes, "
            f"{votes.other:,} with most votes for something else"
        )
    if facts.dropped:
        words["left out, listed in --drop"] = f"{facts.dropped:,}"
    if facts.skipped.count:
        words["left out, unreadable"] = "\n  ".join([f"{facts.skipped.count:,}", *facts.skipped.names])
    return f"{_table(counts_table(facts.counts))}\n\n{_facts(words)}"


def audit_text(record: AuditRecord) -> str:
    """An audit's counts: copies, near copies, pictures without a face, imbalance, suspects if looked for."""
    facts, words = record.facts, audit_words(record)
    parts = ", ".join(f"{part} {number:,}" for part, number in facts.part_sizes().items())
    imbalance = facts.imbalance
    others = {"imbalance": f"{imbalance.most} is {imbalance.ratio:g} times as frequent as {imbalance.fewest}"}
    if facts.suspects is not None:
        others["suspect labels"] = f"{facts.suspects:,}"
    head = f"{record.data}: {facts.images:,} images ({parts})"
    return f"{head}\n{_facts(words.copies | words.near | words.faceless | others)}"


def training_text(result: TrainResult, files: Sequence[Path]) -> str:
    """How training ended, which epoch was selected, and where its model is."""
    best = result.best
    return "\n".join(
        [
            f"{result.ended} after epoch {len(result.history)}; selected epoch {best.epoch}: "
            f"val loss {best.val_loss:.4f}, val accuracy {percent(best.val_accuracy)}",
            *(f"model: {file}" for file in files),
        ]
    )


def evaluation_text(record: EvaluationRecord) -> str:
    """Accuracy with its interval, a line a class, the confusion matrix, the same in words, and how sure all that is."""
    words = measures(record)
    head = f"{title(record.model, record.data, record.split, record.n)}\naccuracy {words['accuracy']}"
    return "\n\n".join(
        [head, _table(class_table(record)), _table(_confusion(record)), "\n".join(summary(record)), _facts(words)]
    )


def comparison_text(record: ComparisonRecord, latex: bool = False) -> str:
    """The scores of each model and the differences of each pair as tables, in Markdown or LaTeX, and in words."""
    found = comparison_tables(record)
    tables = [found.models, *([found.seeds] if found.seeds.rows else []), found.pairs]
    if latex:
        remarks = [f"% {line}" for line in (found.faces, *found.verdicts)]
        return "\n\n".join(["\n".join(remarks), *map(latex_table, tables)])
    return "\n\n".join([f"{record.n:,} faces", *map(_markdown, tables), "\n".join(found.verdicts)])


def calibration_text(calibration: Calibration) -> str:
    """The temperature, and how it changes the calibration."""
    return (
        f"temperature {calibration.model.temperature:.3f}, fitted on {calibration.n:,} faces; expected calibration "
        f"error {calibration.error_before:.3f} before, {calibration.error_after:.3f} after (two-fold cross-fitted)"
    )


def _table(table: Table) -> str:
    """Columns under their heads; the first is set left, the others right."""
    lines = [table.head, *table.rows]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([line[0].ljust(first), *(cell.rjust(width) for cell, width in zip(line[1:], others, strict=True))])
        for line in lines
    )


def _facts(facts: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {text}" for name, text in facts.items())


def _confusion(scores: Scores) -> Table:
    """Counts, and shares of each row."""
    rows = []
    for name, line in zip(scores.per_class, scores.confusion, strict=True):
        total = max(sum(line), 1)
        rows.append((name, *(f"{count:,} ({whole_percent(count / total)})" for count in line)))
    return Table(("true \\ predicted", *scores.per_class), tuple(rows))


def _markdown(table: Table) -> str:
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
