"""The record of an audit: its counts, and what is wrong with the data, shown on the images themselves."""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.audit.findings import Audit, audit_facts
from mien.audit.near import LEAST_LIKENESS, MOST_BITS, Near
from mien.data.drop import DROP
from mien.records.audit import UNDIVIDED, AuditRecord, Gallery, NearLimits, Tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.audit.suspects import Suspect

_SHOWN = 24  # tiles a gallery
_SUSPECTS = 96


def audit_record(
    findings: Audit, suspects: Sequence[Suspect] | None, *, data: str, command: str, folder: Path
) -> AuditRecord:
    """The record of an audit of the source `data`, to be written into `folder`; suspects: None if not looked for."""
    facts = audit_facts(findings, None if suspects is None else len(suspects))
    parts = [] if set(facts.counts) == {UNDIVIDED} else ["--split", "official"]
    prepare = ["mien", "prepare", "--input_dir", data, "--output_dir", "DIR", *parts, "--drop", str(folder / DROP)]
    return AuditRecord(
        data=data,
        facts=facts,
        conflicts=_group_tiles(findings, findings.conflict),
        leaks=_group_tiles(findings, findings.across() & ~findings.conflict),
        contradicting=_near_tiles(findings, [*filter(findings.near_conflict, findings.near)]),
        least_alike=_near_tiles(findings, findings.near[::-1], first=True),
        plain=_tiles(findings, np.flatnonzero(findings.plain)),
        border=_tiles(findings, np.flatnonzero(findings.border & ~findings.plain)),
        suspects=None if suspects is None else _suspect_tiles(findings, suspects),
        limits=NearLimits(MOST_BITS, LEAST_LIKENESS),
        command=command,
        remedy=shlex.join(prepare),
    )


def _group_tiles(findings: Audit, marked: NDArray[np.bool_]) -> Gallery:
    """A tile a group of copies: its picture, and where it lies under which label."""
    groups = np.unique(findings.groups[marked])
    members = [np.flatnonzero(findings.groups == group).tolist() for group in groups[_spread(len(groups))]]
    tiles = (
        Tile((_picture(findings, mine[0]),), _distinct(_where(findings, i) for i in mine), _names(findings, mine))
        for mine in members
    )
    return Gallery(tuple(tiles), len(groups))


def _near_tiles(findings: Audit, pairs: Sequence[Near], *, first: bool = False) -> Gallery:
    """A tile a pair: the first ones, or some from all over."""
    shown = pairs[:_SHOWN] if first else pairs[_spread(len(pairs))]
    return Gallery(tuple(_near_tile(findings, pair) for pair in shown), len(pairs))


def _near_tile(findings: Audit, pair: Near) -> Tile:
    kind = ", mirrored" if pair.mirrored else ""
    lines = _distinct((_where(findings, pair.first), _where(findings, pair.second)))
    pictures = _picture(findings, pair.first), _picture(findings, pair.second)
    return Tile(pictures, (*lines, f"likeness {pair.likeness:.3f}{kind}"), _names(findings, (pair.first, pair.second)))


def _tiles(findings: Audit, indices: NDArray[np.int64]) -> Gallery:
    shown = indices[_spread(len(indices))].tolist()
    tiles = (Tile((_picture(findings, i),), (_where(findings, i),), _names(findings, (i,))) for i in shown)
    return Gallery(tuple(tiles), len(indices))


def _suspect_tiles(findings: Audit, suspects: Sequence[Suspect]) -> Gallery:
    """A tile a suspect, the most suspicious first."""
    classes, tiles = findings.faces.classes, []
    for suspect in suspects[:_SUSPECTS]:
        lines = f"given {classes[findings.faces.labels[suspect.index]]}", f"→ {classes[suspect.suggested]}?"
        tiles.append(Tile((_picture(findings, suspect.index),), lines, _names(findings, (suspect.index,))))
    return Gallery(tuple(tiles), len(suspects))


def _names(findings: Audit, indices: Iterable[int]) -> str:
    return "; ".join(findings.names[i] for i in indices)


def _where(findings: Audit, i: int) -> str:
    """Label and part of an image."""
    label, part = findings.faces.classes[findings.faces.labels[i]], findings.parts[i]
    return label if part == UNDIVIDED else f"{label} ({part})"


def _spread(count: int) -> slice:
    """As many of `count` things as a gallery shows, evenly spread."""
    return slice(None, None, max(1, -(-count // _SHOWN)))


def _distinct(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


def _picture(findings: Audit, i: int) -> str:
    file = io.BytesIO()
    Image.fromarray(findings.faces.images[i]).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
