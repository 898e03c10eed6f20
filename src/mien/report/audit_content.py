"""What a page says of an audit: what is wrong with the data, shown on the images themselves.

The audit's own page shows it, and the report of a model that was given the audit's folder.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.audit.findings import Audit, facts
from mien.audit.near import LEAST_LIKENESS, MOST_BITS, Near
from mien.data.dataset import WHOLE
from mien.data.drop import DROP
from mien.folders import left_in, read_json, readable
from mien.report.tables import Table, percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.audit.suspects import Suspect

AUDIT_CONTENT = "audit.json"
_AGAIN = "look again (mien audit)"
_GALLERIES = ("conflicts", "leaks", "contradicting", "least_alike", "plain", "border", "suspects")
_SHOWN = 24  # tiles a gallery
_SUSPECTS = 96


@dataclass(frozen=True)
class Tile:
    """Pictures side by side, each a PNG in base64, 48 pixels a side; the lines below them, and the images' names."""

    pictures: tuple[str, ...]
    lines: tuple[str, ...]
    names: str


@dataclass(frozen=True)
class Gallery:
    """Some of `count` things that could be shown."""

    tiles: tuple[Tile, ...]
    count: int


@dataclass(frozen=True)
class AuditContent:
    """All that a page shows of an audit.

    facts: the counts, as `mien.data.audit.facts` gives them. suspects: None where nobody looked. limits: of bits and
    likeness, for near copies. command, remedy: what made the audit, and what drops the images it lists.
    """

    data: str
    facts: Mapping[str, Any]
    conflicts: Gallery
    leaks: Gallery
    contradicting: Gallery
    least_alike: Gallery
    plain: Gallery
    border: Gallery
    suspects: Gallery | None
    limits: Mapping[str, float]
    command: str
    remedy: str

    @property
    def counts(self) -> Table:
        """Images by class and part."""
        return _counts(self.facts)

    @property
    def copies(self) -> dict[str, str]:
        """The counts of exact copies in words."""
        return _copy_facts(self.facts)

    @property
    def near(self) -> dict[str, str]:
        """The counts of near copies in words."""
        return _near_facts(self.facts)

    @property
    def divided(self) -> bool:
        """Whether the data come in parts."""
        return _divided(self.facts)

    @property
    def search(self) -> str:
        """The command that looks for suspects."""
        return shlex.join(["mien", "audit", self.data, "--suspects"])


def audit_content(
    seen: Audit, suspects: Sequence[Suspect] | None, *, data: str, command: str, folder: Path
) -> AuditContent:
    """What is to be said of an audit that goes into `folder`."""
    counts = facts(seen)
    prepare = ["mien", "prepare", "--input_dir", data, "--output_dir", "DIR"]
    parts = ["--split", "official"] if _divided(counts) else []
    return AuditContent(
        data=data,
        facts=counts,
        conflicts=_group_tiles(seen, seen.conflict),
        leaks=_group_tiles(seen, seen.across() & ~seen.conflict),
        contradicting=_near_tiles(seen, [*filter(seen.near_conflict, seen.near)]),
        least_alike=_near_tiles(seen, seen.near[::-1], first=True),
        plain=_tiles(seen, np.flatnonzero(seen.plain)),
        border=_tiles(seen, np.flatnonzero(seen.border & ~seen.plain)),
        suspects=None if suspects is None else _suspect_tiles(seen, suspects),
        limits={"bits": MOST_BITS, "likeness": LEAST_LIKENESS},
        command=command,
        remedy=shlex.join([*prepare, *parts, "--drop", str(folder / DROP)]),
    )


def content_text(content: AuditContent) -> str:
    """The content as JSON, to be read by `read_audit`."""
    return json.dumps(asdict(content), indent=1)


def read_audit(folder: Path) -> AuditContent:
    """What `mien audit` left in a folder; raises UsageError where it left nothing, DataError for damage."""
    path = left_in(folder, AUDIT_CONTENT, "mien audit DATA --out FOLDER")
    fields = read_json(path, _AGAIN)
    with readable(path, _AGAIN):
        for name in _GALLERIES:
            fields[name] = _gallery(fields[name])
        return AuditContent(**fields)


def _gallery(fields: Mapping[str, Any] | None) -> Gallery | None:
    if fields is None:
        return None
    tiles = (Tile(tuple(one["pictures"]), tuple(one["lines"]), one["names"]) for one in fields["tiles"])
    return Gallery(tuple(tiles), fields["count"])


def _divided(counts: Mapping[str, Any]) -> bool:
    return set(counts["images"]) != {WHOLE}


def _copy_facts(counts: Mapping[str, Any]) -> dict[str, str]:
    copies = counts["copies"]
    return {
        "distinct images": f"{counts['distinct']:,} of {sum(counts['images'].values()):,}",
        "groups of copies": f"{copies['groups']:,}, with {copies['images']:,} images",
        "groups that lie in more than one part": f"{copies['groups_in_several_parts']:,}",
        "groups whose copies carry different labels": f"{copies['groups_with_conflicting_labels']:,}",
    } | _shares(counts, copies["also_in_train"], "images that are also in train")


def _near_facts(counts: Mapping[str, Any]) -> dict[str, str]:
    near = counts["near_copies"]
    return {
        "pairs": f"{near['pairs']:,}, {near['mirrored']:,} of them mirrored",
        "pairs across parts": f"{near['pairs_in_several_parts']:,}",
        "pairs with different labels": f"{near['pairs_with_different_labels']:,}",
    } | _shares(counts, near["nearly_in_train"], "images with a near copy in train, but no exact one")


def _shares(counts: Mapping[str, Any], numbers: dict[str, int], what: str) -> dict[str, str]:
    return {
        f"{part} {what}": f"{number:,} ({percent(number / counts['images'][part])})" for part, number in numbers.items()
    }


def _counts(counts: Mapping[str, Any]) -> Table:
    """Images by class and part."""
    by_part, total = counts["classes"], sum(counts["images"].values())
    rows = []
    for label in next(iter(by_part.values())):
        numbers = [by_part[part][label] for part in by_part]
        rows.append((label, *(f"{number:,}" for number in numbers), percent(sum(numbers) / total)))
    sums = [f"{number:,}" for number in counts["images"].values()]
    return Table(("class", *by_part, "share"), (*rows, ("all", *sums, "100 %")), total=True)


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


def _tiles(seen: Audit, places: NDArray[np.int64]) -> Gallery:
    shown = places[_spread(len(places))].tolist()
    tiles = (Tile((_picture(seen, i),), (_where(seen, i),), _names(seen, (i,))) for i in shown)
    return Gallery(tuple(tiles), len(places))


def _suspect_tiles(seen: Audit, suspects: Sequence[Suspect]) -> Gallery:
    """A tile a suspect, the most suspicious first."""
    classes, tiles = seen.faces.classes, []
    for suspect in suspects[:_SUSPECTS]:
        lines = f"given {classes[seen.faces.labels[suspect.index]]}", f"→ {classes[suspect.suggested]}?"
        tiles.append(Tile((_picture(seen, suspect.index),), lines, _names(seen, (suspect.index,))))
    return Gallery(tuple(tiles), len(suspects))


def _names(seen: Audit, places: Iterable[int]) -> str:
    return "; ".join(seen.names[i] for i in places)


def _where(seen: Audit, i: int) -> str:
    """Label and part of an image."""
    label, part = seen.faces.classes[seen.faces.labels[i]], seen.parts[i]
    return label if part == WHOLE else f"{label} ({part})"


def _spread(count: int) -> slice:
    """As many of `count` things as a gallery shows, evenly spread."""
    return slice(None, None, max(1, -(-count // _SHOWN)))


def _distinct(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


def _picture(seen: Audit, i: int) -> str:
    file = io.BytesIO()
    Image.fromarray(seen.faces.images[i]).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
