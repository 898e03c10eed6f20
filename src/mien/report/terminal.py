"""Results as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.records.audit import AuditFacts
from mien.records.comparison import ComparisonRecord
from mien.records.data import DataFacts, Preparation
from mien.records.evaluation import EvaluationRecord, Scores
from mien.report.comparison import comparison_tables
from mien.report.summaries import certainty, summary
from mien.report.tables import (
    Table,
    counts_table,
    ends,
    latex_table,
    percent,
    percent_interval,
    title,
    whole_percent,
)

if TYPE_CHECKING:
    from mien.evaluate.calibration import Calibration
    from mien.train.trainer import TrainResult


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells under a head; the first column is set left, the others right."""
    lines = [list(head), *(list(row) for row in rows)]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([line[0].ljust(first), *(cell.rjust(width) for cell, width in zip(line[1:], others, strict=True))])
        for line in lines
    )


def preparation_text(facts: Preparation) -> str:
    """Counts by part and class, and which parts the copies are in."""
    counts = counts_table(facts.counts)
    by_part = ", ".join(f"{part} {number:,}" for part, number in facts.copies.by_part.items() if number)
    lines = [
        table(counts.head[:-1], [row[:-1] for row in counts.rows]),
        "",
        f"distinct images: {facts.distinct:,} of {facts.images:,}; blank: {facts.blank:,}",
        f"copies: {facts.copies.images:,} images in {facts.copies.groups:,} groups ({by_part or 'none'}); "
        f"{facts.copies.groups_with_conflicting_labels:,} groups with conflicting labels",
        _leak_line(facts),
    ]
    if votes := facts.votes:
        lines.append(
            f"votes: {votes.faces:,} faces have them; --labels votes leaves out {votes.without:,} without votes, "
            f"{votes.other:,} with most votes for something else"
        )
    if facts.skipped.count:
        lines += [f"left out, unreadable: {facts.skipped.count:,}", *(f"  {name}" for name in facts.skipped.names)]
    if facts.dropped:
        lines.append(f"left out, listed in --drop: {facts.dropped:,}")
    return "\n".join(lines)


def _leak_line(facts: DataFacts) -> str:
    leaked, groups = facts.copies.also_in_train, facts.copies.groups_in_several_parts
    if not groups:
        return "no group of copies is in more than one part"
    where = f"; {_also(facts, leaked, 'also in train')}" if any(leaked.values()) else ", none in train"
    return f"{groups:,} groups of copies are in more than one part{where}"


def audit_text(facts: AuditFacts, data: str) -> str:
    """An audit's counts: copies, near copies, pictures without a face, imbalance, suspects if looked for."""
    copies, near, imbalance = facts.copies, facts.near_copies, facts.imbalance
    parts = ", ".join(f"{part} {number:,}" for part, number in facts.part_sizes().items())
    lines = [
        f"{data}: {facts.images:,} images ({parts}), {facts.distinct:,} distinct",
        f"copies: {copies.groups:,} groups with {copies.images:,} images; {copies.groups_in_several_parts:,} groups in "
        f"more than one part, {copies.groups_with_conflicting_labels:,} with conflicting labels",
        *([_also(facts, copies.also_in_train, "also in train")] if copies.also_in_train else []),
        f"near copies: {near.pairs:,} pairs, {near.mirrored:,} mirrored; {near.pairs_in_several_parts:,} "
        f"across parts, {near.pairs_with_different_labels:,} with different labels",
        *([_also(facts, near.nearly_in_train, "with a near copy in train only")] if near.nearly_in_train else []),
        f"blank: {facts.blank:,}; plain, mostly one gray: {facts.plain:,}; "
        f"with a border over a quarter of the picture: {facts.border:,}",
        f"imbalance: {imbalance.most} is {imbalance.ratio:g} times as frequent as {imbalance.fewest}",
    ]
    if facts.suspects is not None:
        lines.append(f"suspect labels: {facts.suspects:,}")
    return "\n".join(lines)


def _also(facts: DataFacts, numbers: dict[str, int], what: str) -> str:
    """`280 val images (7.8 %) also in train`."""
    sizes = facts.part_sizes()
    shares = (f"{number:,} {part} images ({percent(number / max(sizes[part], 1))})" for part, number in numbers.items())
    return f"{', '.join(shares)} {what}"


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
    return "\n".join(
        [
            title(record.model, record.data, record.split, record.n),
            f"accuracy {percent(record.accuracy)} (95 % interval {percent_interval(record.accuracy_ci95)})",
            "",
            _class_table(record),
            "",
            confusion_text(record),
            "",
            *summary(record),
            "",
            f"cross-entropy: {record.nll:.3f}",
            *(f"{name}: {words}" for name, words in certainty(record).items()),
        ]
    )


def comparison_text(record: ComparisonRecord, latex: bool = False) -> str:
    """The scores of each model and the differences of each pair as tables, in Markdown or LaTeX, and in words."""
    found = comparison_tables(record)
    tables = [found.models, *([found.seeds] if found.seeds.rows else []), found.pairs]
    if latex:
        remarks = [f"% {line}" for line in (found.faces, *found.verdicts)]
        return "\n\n".join(["\n".join(remarks), *map(latex_table, tables)])
    lines = [line for each in tables for line in ("", *_markdown(each))]
    return "\n".join([f"{record.n:,} faces", *lines, "", *found.verdicts])


def calibration_text(calibration: Calibration) -> str:
    """The temperature, and how it changes the calibration."""
    return (
        f"temperature {calibration.model.temperature:.3f}, fitted on {calibration.n:,} faces; expected calibration "
        f"error {calibration.error_before:.3f} before, {calibration.error_after:.3f} after (two-fold cross-fitted)"
    )


def confusion_text(scores: Scores) -> str:
    """The confusion matrix: counts, and shares of each row."""
    rows = []
    for name, line in zip(scores.per_class, scores.confusion, strict=True):
        total = max(sum(line), 1)
        rows.append([name, *(f"{count:,} ({whole_percent(count / total)})" for count in line)])
    return table(["true \\ predicted", *scores.per_class], rows)


def _class_table(record: EvaluationRecord) -> str:
    sure = record.bootstrap_ci95
    rows = [
        [
            name,
            f"{one.precision:.3f}",
            f"{one.recall:.3f}",
            _number(one.f1, sure.per_class[name].f1),
            f"{one.support:,}",
        ]
        for name, one in record.per_class.items()
        if one.support
    ]
    macro_f1 = _number(record.macro_f1, sure.macro_f1)
    macro = [f"{record.macro_precision:.3f}", f"{record.macro_recall:.3f}", macro_f1]
    head = ["class", "precision", "recall", "F1 (95 % interval)", "support"]
    return table(head, [*rows, ["macro average", *macro, f"{record.n:,}"]])


def _markdown(content: Table) -> list[str]:
    lines = [content.head, ["---", *["---:"] * (len(content.head) - 1)], *content.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _number(value: float, interval: Sequence[float]) -> str:
    return f"{value:.3f} ({ends(interval)})"
