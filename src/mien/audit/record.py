"""The record of an audit: its counts, and what is wrong with the data, shown on the images themselves."""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.audit.findings import Audit, audit_facts
from mien.audit.near import LEAST_LIKENESS, MOST_BITS, Near
from mien.data.drop import DROP
from mien.records.audit import UNDIVIDED, AuditRecord, Gallery, NearLimits, Tile

if TYPE_CHECKING:
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
    shown = [np.flatnonzero(findings.groups == group).tolist() for group in groups[_spread(len(groups))]]
    tiles = (_tile(findings, mine[:1], [_where(findings, i) for i in mine], mine) for mine in shown)
    return Gallery(tuple(tiles), len(groups))


def _near_tiles(findings: Audit, pairs: Sequence[Near], *, first: bool = False) -> Gallery:
    """A tile a pair: the first ones, or some from all over."""
    tiles = []
    for pair in pairs[:_SHOWN] if first else pairs[_spread(len(pairs))]:
        both = pair.first, pair.second
        likeness = f"likeness {pair.likeness:.3f}{', mirrored' if pair.mirrored else ''}"
        tiles.append(_tile(findings, both, [*(_where(findings, i) for i in both), likeness]))
    return Gallery(tuple(tiles), len(pairs))


def _tiles(findings: Audit, indices: NDArray[np.int64]) -> Gallery:
    shown = indices[_spread(len(indices))].tolist()
    return Gallery(tuple(_tile(findings, [i], [_where(findings, i)]) for i in shown), len(indices))


def _suspect_tiles(findings: Audit, suspects: Sequence[Suspect]) -> Gallery:
    """A tile a suspect, the most suspicious first."""
    classes, labels = findings.faces.classes, findings.faces.labels
    tiles = (
        _tile(findings, [one.index], [f"given {classes[labels[one.index]]}", f"→ {classes[one.suggested]}?"])
        for one in suspects[:_SUSPECTS]
    )
    return Gallery(tuple(tiles), len(suspects))


def _tile(findings: Audit, shown: Sequence[int], lines: Iterable[str], members: Sequence[int] = ()) -> Tile:
    """Images side by side, with each line once; named are its members, if these are more than are shown."""
    pictures = []
    for i in shown:
        file = io.BytesIO()
        Image.fromarray(findings.faces.images[i]).save(file, "PNG", optimize=True)
        pictures.append(base64.b64encode(file.getvalue()).decode())
    names = "; ".join(findings.names[i] for i in members or shown)
    return Tile(tuple(pictures), tuple(dict.fromkeys(lines)), names)


def _where(findings: Audit, i: int) -> str:
    """Label and part of an image."""
    label, part = findings.faces.classes[findings.faces.labels[i]], findings.parts[i]
    return label if part == UNDIVIDED else f"{label} ({part})"


def _spread(count: int) -> slice:
    """As many of `count` things as a gallery shows, evenly spread."""
    return slice(None, None, max(1, -(-count // _SHOWN)))
