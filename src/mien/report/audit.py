"""What a page says of an audit, beside the images themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mien.records.audit import AuditRecord
from mien.records.data import DataFacts
from mien.report.tables import Table, counts_table, percent


class AuditWords(NamedTuple):
    """The counts of an audit in words and tables: images by class and part, copies, near copies, faceless pictures."""

    counts: Table
    copies: dict[str, str]
    near: dict[str, str]
    faceless: dict[str, str]


def audit_words(record: AuditRecord) -> AuditWords:
    """The counts of an audit in words and tables."""
    facts = record.facts
    near = facts.near_copies
    return AuditWords(
        counts=counts_table(facts.counts, sums=record.divided),
        copies=copy_words(facts),
        near={
            "pairs of near copies": f"{near.pairs:,}, {near.mirrored:,} of them mirrored",
            "pairs across parts": f"{near.pairs_in_several_parts:,}",
            "pairs with different labels": f"{near.pairs_with_different_labels:,}",
            **_by_part(facts, near.nearly_in_train, "images with a near copy, but no exact one, in training"),
        },
        faceless={
            "blank, a single gray": f"{facts.blank:,}",
            "plain, one gray over most of the picture": f"{facts.plain:,}",
            "border of one gray over a quarter of the picture": f"{facts.border:,}",
        },
    )


def copy_words(facts: DataFacts) -> dict[str, str]:
    """The counts of exact copies, name to words; what an older record does not know is left out."""
    copies, words = facts.copies, {}
    if facts.distinct is not None:
        words["distinct images"] = f"{facts.distinct:,} of {facts.images:,}"
    if copies.groups is not None and copies.images is not None:
        by_part = ", ".join(f"{part} {number:,}" for part, number in copies.by_part.items() if number)
        words["groups of copies"] = f"{copies.groups:,}, with {copies.images:,} images{by_part and f' ({by_part})'}"
    if copies.groups_in_several_parts is not None:
        words["groups in more than one part"] = f"{copies.groups_in_several_parts:,}"
    if copies.groups_with_conflicting_labels is not None:
        words["groups with conflicting labels"] = f"{copies.groups_with_conflicting_labels:,}"
    return words | _by_part(facts, copies.also_in_train, "images also in training")


def _by_part(facts: DataFacts, numbers: Mapping[str, int], what: str) -> dict[str, str]:
    sizes = facts.part_sizes()
    return {
        f"{part} {what}": f"{number:,} of {sizes[part]:,} ({percent(number / max(sizes[part], 1))})"
        for part, number in numbers.items()
    }
