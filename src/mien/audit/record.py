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
    seen: Audit, suspects: Sequence[Suspect] | None, *, data: str, command: str, folder: Path
) -> AuditRecord:
    """The record of an audit of the source `data`, to be written into `folder`; suspects: None if not looked for."""
    facts = audit_facts(seen, None if suspects is None else len(suspects))
    parts = [] if set(facts.counts) == {UNDIVIDED} else ["--split", "official"]
    prepare = ["mien", "prepare", "--input_dir", data, "--output_dir", "DIR", *parts, "--drop", str(folder / DROP)]
    return AuditRecord(
        data=data,
        facts=facts,
        conflicts=_group_tiles(seen, seen.conflict),
        leaks=_group_tiles(seen, seen.across() & ~seen.conflict),
        contradicting=_near_tiles(seen, [*filter(seen.near_conflict, seen.near)]),
        least_alike=_near_tiles(seen, seen.near[::-1], first=True),
        plain=_tiles(seen, np.flatnonzero(seen.plain)),
        border=_tiles(seen, np.flatnonzero(seen.border & ~seen.plain)),
        suspects=None if suspects is None else _suspect_tiles(seen, suspects),
        limits=NearLimits(MOST_BITS, LEAST_LIKENESS),
        command=command,
        remedy=shlex.join(prepare),
    )


def _group_tiles(seen: Audit, marked: NDArray[np.bool_]) -> Gallery:
    """A tile a group of copies: its picture, and where it lies under which label."""
    groups = np.unique(seen.groups[marked])
    members = [np.flatnonzero(seen.groups == group).tolist() for group in groups[_spread(len(groups))]]
    tiles = (
        Tile((_picture(seen, mine[0]),), _distinct(_where(seen, i) for i in mine), _names(seen, mine))
        for mine in members
    )
    return Gallery(tuple(tiles), len(groups))


def _near_tiles(seen: Audit, pairs: Sequence[Near], *, first: bool = False) -> Gallery:
    """A tile a pair: the first ones, or some from all over."""
    shown = pairs[:_SHOWN] if first else pairs[_spread(len(pairs))]
    return Gallery(tuple(_near_tile(seen, pair) for pair in shown), len(pairs))


def _near_tile(seen: Audit, pair: Near) -> Tile:
    kind = ", mirrored" if pair.mirrored else ""
    lines = _distinct((_where(seen, pair.first), _where(seen, pair.second)))
    pictures = _picture(seen, pair.first), _picture(seen, pair.second)
    return Tile(pictures, (*lines, f"likeness {pair.likeness:.3f}{kind}"), _names(seen, (pair.first, pair.second)))


def _tiles(seen: Audit, indices: NDArray[np.int64]) -> Gallery:
    shown = indices[_spread(len(indices))].tolist()
    tiles = (Tile((_picture(seen, i),), (_where(seen, i),), _names(seen, (i,))) for i in shown)
    return Gallery(tuple(tiles), len(indices))


def _suspect_tiles(seen: Audit, suspects: Sequence[Suspect]) -> Gallery:
    """A tile a suspect, the most suspicious first."""
    classes, tiles = seen.faces.classes, []
    for suspect in suspects[:_SUSPECTS]:
        lines = f"given {classes[seen.faces.labels[suspect.index]]}", f"→ {classes[suspect.suggested]}?"
        tiles.append(Tile((_picture(seen, suspect.index),), lines, _names(seen, (suspect.index,))))
    return Gallery(tuple(tiles), len(suspects))


def _names(seen: Audit, indices: Iterable[int]) -> str:
    return "; ".join(seen.names[i] for i in indices)


def _where(seen: Audit, i: int) -> str:
    """Label and part of an image."""
    label, part = seen.faces.classes[seen.faces.labels[i]], seen.parts[i]
    return label if part == UNDIVIDED else f"{label} ({part})"


def _spread(count: int) -> slice:
    """As many of `count` things as a gallery shows, evenly spread."""
    return slice(None, None, max(1, -(-count // _SHOWN)))


def _distinct(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


def _picture(seen: Audit, i: int) -> str:
    file = io.BytesIO()
    Image.fromarray(seen.faces.images[i]).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
