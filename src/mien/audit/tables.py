"""The tables an audit leaves: audit.csv, near.csv, drop.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien import atomic
from mien.audit.findings import Audit
from mien.audit.near import Near
from mien.csv_files import csv_text
from mien.data.dataset import WHOLE
from mien.data.drop import DROP, drop_text
from mien.errors import UsageError
from mien.records.audit import AUDIT, NEAR

if TYPE_CHECKING:
    from mien.audit.suspects import Suspect

_HEAD = (
    "path", "part", "label", "kinds", "group", "near", "bits", "likeness", "mirrored", "suggested", "score",
)  # fmt: skip
_KINDS = ("blank", "plain", "border", "copy", "conflict")


def check_folder(folder: Path) -> None:
    """Raise UsageError where an audit lies there already."""
    if (folder / AUDIT).exists():
        raise UsageError(f"{folder}: holds an audit already; choose another folder, or remove {folder / AUDIT}")


def write_tables(findings: Audit, suspects: Sequence[Suspect], folder: Path) -> tuple[Path, ...]:
    """Write `drop.csv`, `near.csv` and, last, `audit.csv` into `folder`; returns their paths."""
    texts = {
        DROP: drop_text(to_drop(findings, suspects)),
        NEAR: near_text(findings),
        AUDIT: audit_text(findings, suspects),
    }
    for name, text in texts.items():
        atomic.write_bytes(folder / name, text.encode("utf-8", "replace"))
    return tuple(folder / name for name in texts)


def audit_text(findings: Audit, suspects: Sequence[Suspect]) -> str:
    """A table with one row an image that has something about it, in the source's order.

    kinds: `blank`, `plain`, `border`, `copy`, `conflict`, `near`, `suspect`, joined by `;`. group: shared by exact
    copies. near: its closest near copy; bits, likeness, mirrored: how close. suggested, score: of a suspect.
    """
    rows = []
    suspected = {suspect.index: suspect for suspect in suspects}
    closest = _closest(findings)
    for i, name in enumerate(findings.names):
        pair, suspect = closest.get(int(findings.groups[i])), suspected.get(i)
        kinds = (
            [kind for kind in _KINDS if getattr(findings, kind)[i]]
            + ["near"] * (pair is not None)
            + ["suspect"] * (suspect is not None)
        )
        if kinds:
            label = findings.faces.classes[findings.faces.labels[i]]
            start = (name, findings.parts[i], label, ";".join(kinds), findings.groups[i])
            guess = (findings.faces.classes[suspect.suggested], f"{suspect.score:.6f}") if suspect else ("", "")
            rows.append((*start, *_near_cells(findings, i, pair), *guess))
    return csv_text(_HEAD, rows)


def near_text(findings: Audit) -> str:
    """A table of all pairs of near copies, the closest first: names, labels, and how close (see `Near`)."""
    rows, faces = [], findings.faces
    for pair in findings.near:
        sides = [(findings.names[i], faces.classes[faces.labels[i]]) for i in (pair.first, pair.second)]
        rows.append((*sides[0], *sides[1], pair.bits, f"{pair.likeness:.4f}", "yes" if pair.mirrored else "no"))
    return csv_text(("path", "label", "near", "near_label", "bits", "likeness", "mirrored"), rows)


def to_drop(findings: Audit, suspects: Sequence[Suspect]) -> list[tuple[str, str]]:
    """Name and reason of each image that training does better without: blank, in conflict with a copy, or suspect.

    Val and test images are left alone: a score on fewer of them could be compared with nobody's.
    """
    reasons = {suspect.index: "suspect" for suspect in suspects}
    for kind in ("conflict", "blank"):
        reasons |= dict.fromkeys(np.flatnonzero(getattr(findings, kind)).tolist(), kind)
    return [(findings.names[i], reasons[i]) for i in sorted(reasons) if findings.parts[i] in ("train", WHOLE)]


def _closest(findings: Audit) -> dict[int, Near]:
    """The closest pair of each group that has any."""
    closest: dict[int, Near] = {}
    for pair in findings.near:  # the closest first
        for i in (pair.first, pair.second):
            closest.setdefault(int(findings.groups[i]), pair)
    return closest


def _near_cells(findings: Audit, i: int, pair: Near | None) -> tuple[object, ...]:
    if pair is None:
        return ("",) * 4
    other = pair.second if findings.groups[i] == findings.groups[pair.first] else pair.first
    return findings.names[other], pair.bits, f"{pair.likeness:.4f}", "yes" if pair.mirrored else "no"
