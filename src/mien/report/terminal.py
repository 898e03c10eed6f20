"""Results as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.data.dataset import PARTS
from mien.report.tables import ends, percent

if TYPE_CHECKING:
    from mien.evaluate.calibration import Calibration
    from mien.evaluate.comparison import Comparison
    from mien.evaluate.evaluation import Evaluation
    from mien.records.evaluation import Scores
    from mien.report.tables import Table
    from mien.train.trainer import TrainResult


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells under a head; the first column is set left, the others right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
    return "  ".join([line[0].ljust(len(first)), *others])


def preparation_text(facts: dict[str, Any], classes: Sequence[str]) -> str:
    """Counts by part and class, and where the copies went."""
    parts = facts["counts"]
    body = [[label, *(f"{parts[part][label]:,}" for part in parts), _sum(parts, label)] for label in classes]
    totals = ["all", *(f"{sum(parts[part].values()):,}" for part in parts), f"{facts['images']:,}"]
    copies = facts["copies"]
    where = ", ".join(f"{part} {number:,}" for part, number in sorted(copies["by_part"].items(), key=_by_part))
    lines = [
        table(["class", *parts, "all"], [*body, totals]),
        "",
        f"distinct images: {facts['distinct']:,} of {facts['images']:,}; blank: {facts['blank']:,}",
        f"copies: {copies['images']:,} images in {copies['groups']:,} groups ({where or 'none'}); "
        f"{copies['groups_with_conflicting_labels']:,} groups carry conflicting labels",
        _leak_line(facts),
        *_vote_lines(facts["votes"]),
        *_skipped_lines(facts["skipped"]),
        *([f"left out, because they are listed to be dropped: {facts['dropped']:,}"] if facts["dropped"] else []),
    ]
    return "\n".join(lines)


def _vote_lines(votes: dict[str, int] | None) -> list[str]:
    if votes is None:
        return []
    return [
        f"votes: {votes['faces']:,} faces have them; left out by --labels votes: {votes['without']:,} without, "
        f"{votes['other']:,} with most votes for something else"
    ]


def _skipped_lines(skipped: dict[str, Any]) -> list[str]:
    if not skipped["count"]:
        return []
    return [f"left out, because they cannot be read: {skipped['count']:,}", *(f"  {name}" for name in skipped["names"])]


def audit_text(facts: dict[str, Any], data: str) -> str:
    """An audit's counts: copies, near copies, pictures without a face, imbalance, suspects if looked for."""
    copies, near, imbalance = facts["copies"], facts["near_copies"], facts["imbalance"]
    parts = ", ".join(f"{part} {number:,}" for part, number in facts["images"].items())
    lines = [
        f"{data}: {sum(facts['images'].values()):,} images ({parts}), {facts['distinct']:,} distinct",
        f"copies: {copies['groups']:,} groups with {copies['images']:,} images; "
        f"{copies['groups_in_several_parts']:,} groups lie in more than one part, "
        f"{copies['groups_with_conflicting_labels']:,} carry conflicting labels",
        *_in_train("also in train", copies["also_in_train"], facts["images"]),
        f"near copies: {near['pairs']:,} pairs, {near['mirrored']:,} mirrored; {near['pairs_in_several_parts']:,} "
        f"across parts, {near['pairs_with_different_labels']:,} with different labels",
        *_in_train("near copies in train, but no exact ones", near["nearly_in_train"], facts["images"]),
        f"blank: {facts['blank']:,}; plain, mostly one gray: {facts['plain']:,}; "
        f"with a border over a quarter of the picture: {facts['border']:,}",
        f"imbalance: {imbalance['most']} is {imbalance['ratio']:g} times as frequent as {imbalance['fewest']}",
    ]
    if "suspects" in facts:
        lines.append(f"suspect labels: {facts['suspects']:,}")
    return "\n".join(lines)


def _in_train(what: str, numbers: dict[str, int], images: dict[str, int]) -> list[str]:
    shares = [f"{number:,} {part} images ({percent(number / images[part])})" for part, number in numbers.items()]
    return [f"{what}: {', '.join(shares)}"] if shares else []


def training_text(result: TrainResult, files: Sequence[Path]) -> str:
    """How training ended, which epoch is kept, and where its model is."""
    kept = result.kept
    return "\n".join(
        [
            f"{result.ended} after epoch {len(result.history)}; kept epoch {kept.epoch}: "
            f"val loss {kept.val_loss:.4f}, val accuracy {percent(kept.val_accuracy)}",
            *(f"model: {file}" for file in files),
        ]
    )


def evaluation_text(evaluation: Evaluation, fields: dict[str, Any]) -> str:
    """Accuracy with its interval, a line a class, the confusion matrix, the same in words, and how sure all that is.

    fields: those of its `metrics.json`.
    """
    from mien.report.summaries import certainty, summary

    scores, classes = evaluation.scores, evaluation.faces.classes
    low, high = scores.accuracy_ci95
    return "\n".join(
        [
            f"{evaluation.model} on {evaluation.data} ({evaluation.split}, n = {scores.n:,})",
            f"accuracy {percent(scores.accuracy)} (95 % interval {percent(low)} to {percent(high)})",
            "",
            _class_table(scores, fields["bootstrap_ci95"]),
            "",
            confusion_text(scores, classes),
            "",
            *summary(scores, classes),
            "",
            f"cross-entropy: {scores.nll:.3f}",
            *(f"{name}: {words}" for name, words in certainty(fields).items()),
        ]
    )


def comparison_text(comparison: Comparison) -> str:
    """The scores of each model and the differences of each pair as Markdown tables, and the latter in words."""
    from mien.report.comparison import comparison_tables

    models, pairs, verdicts = comparison_tables(comparison.models, comparison.pairs)
    faces = f"{len(comparison.labels):,} faces"
    return "\n".join([faces, "", *_markdown(models), "", *_markdown(pairs), "", *verdicts])


def calibration_text(calibration: Calibration) -> str:
    """The temperature, and what it is worth."""
    return (
        f"temperature {calibration.model.temperature:.3f}, fitted on {calibration.n:,} faces; expected calibration "
        f"error {calibration.error_before:.3f} before, {calibration.error_after:.3f} after (two-fold cross-fitted)"
    )


def confusion_text(scores: Scores, classes: Sequence[str]) -> str:
    """The confusion matrix: counts, and shares of each row."""
    rows = []
    for name, line in zip(classes, scores.confusion.tolist(), strict=True):
        total = max(sum(line), 1)
        rows.append([name, *(f"{count:,} ({count / total:.0%})" for count in line)])
    return table(["true \\ predicted", *classes], rows)


def _class_table(scores: Scores, sure: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{one.precision:.3f}",
            f"{one.recall:.3f}",
            _number(one.f1, sure["per_class"][name]["f1"]),
            f"{one.support:,}",
        ]
        for name, one in scores.per_class.items()
    ]
    macro_f1 = _number(scores.macro_f1, sure["macro_f1"])
    macro = [f"{scores.macro_precision:.3f}", f"{scores.macro_recall:.3f}", macro_f1]
    head = ["class", "precision", "recall", "F1 (95 % interval)", "support"]
    return table(head, [*rows, ["macro", *macro, f"{scores.n:,}"]])


def _markdown(content: Table) -> list[str]:
    lines = [content.head, ["---", *["---:"] * (len(content.head) - 1)], *content.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _number(value: float, interval: Sequence[float]) -> str:
    return f"{value:.3f} ({ends(interval)})"


def _sum(parts: dict[str, dict[str, int]], label: str) -> str:
    return f"{sum(part[label] for part in parts.values()):,}"


def _by_part(item: tuple[str, int]) -> int:
    return PARTS.index(item[0])


def _leak_line(facts: dict[str, Any]) -> str:
    if not any(facts["leaked"].values()):
        return "every group of copies lies in one part"
    shares = (
        f"{number:,} {part} images ({percent(number / sum(facts['counts'][part].values()))})"
        for part, number in facts["leaked"].items()
    )
    groups = facts["copies"]["groups_in_several_parts"]
    return f"{groups:,} groups of copies lie in more than one part: {' and '.join(shares)} are also in train"
