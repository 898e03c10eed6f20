"""What is wrong with a collection of faces: copies, near copies, conflicting labels, pictures that show no face.

`audit(source)` looks at every image and changes none; `audit_facts` counts. Whether a picture shows a face is not
decided here, as face detectors miss many true faces of 48 pixels: `blank`, `plain` and `border` are about gray levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.audit.near import Near, near_copies
from mien.data.copies import blank, conflicting, copy_groups, group_sizes
from mien.data.dataset import WHOLE, Dataset
from mien.data.facts import data_facts
from mien.data.sources import Source, load
from mien.records.audit import AuditFacts, Imbalance, NearCopyFacts

# The share of pixels of one gray from which on FER-2013's pictures are nearly all placeholders and drawings.
_PLAIN_SHARE = 0.6
_ONE_GRAY = 8  # levels by which pixels of one gray may differ, as JPEG has it
_BORDER_SHARE = 0.25  # of the picture


@dataclass(frozen=True)
class Audit:
    """What was found in N images, in the source's order.

    names: in the source. parts: "train", "val", "test", or "all" where the source has no split. groups: int64 [N],
    exact copies share one. The rest is bool [N]: blank, one gray and nothing else; plain, one gray over most of the
    picture; border, one gray around it over a quarter of the picture or more; copy, occurs more than once; conflict,
    its copies carry more than one label. near: pairs of near copies, each between the first images of two groups.
    """

    faces: Dataset
    names: tuple[str, ...]
    parts: NDArray[np.str_]
    groups: NDArray[np.int64]
    blank: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    border: NDArray[np.bool_]
    copy: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    near: tuple[Near, ...]

    def across(self) -> NDArray[np.bool_]:
        """For each image [N], whether its copies lie in more than one part."""
        _, numbers = np.unique(self.parts, return_inverse=True)
        return conflicting(self.groups, numbers)

    def in_train(self) -> NDArray[np.bool_]:
        """For each image [N] outside training, whether a copy of it lies in training."""
        return np.isin(self.groups, self.groups[self._trained()]) & ~self._trained()

    def nearly_in_train(self) -> NDArray[np.bool_]:
        """For each image [N] outside training, whether a near copy of it lies there, and no exact one."""
        trained = np.zeros(len(self.groups), bool)
        trained[self.groups[self._trained()]] = True
        reached = np.zeros(len(self.groups), bool)
        for pair in self.near:
            first, second = self.groups[pair.first], self.groups[pair.second]
            reached[first] |= trained[second]
            reached[second] |= trained[first]
        return reached[self.groups] & ~self._trained() & ~self.in_train()

    def near_across(self, pair: Near) -> bool:
        """Whether images of a pair, or copies of them, lie in different parts."""
        return len(set(self.parts[np.isin(self.groups, self.groups[[pair.first, pair.second]])].tolist())) > 1

    def near_conflict(self, pair: Near) -> bool:
        """Whether the images of a pair carry different labels."""
        return bool(self.faces.labels[pair.first] != self.faces.labels[pair.second])

    def _trained(self) -> NDArray[np.bool_]:
        return self.parts == "train"


def audit(source: Source) -> Audit:
    """Look at every image of `source`; raises DataError if any cannot be read.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from mien.data.drawn import write_drawn
    >>> from mien.data.sources import open_source
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_drawn(Path(folder) / "faces", count=70)
    ...     findings = audit(open_source(f"{folder}/faces"))
    >>> len(findings.names), int(findings.copy.sum())
    (70, 2)
    """
    faces = load(source)
    images, groups = faces.images, copy_groups(faces.images)
    _, firsts = np.unique(groups, return_index=True)
    empty = blank(images)
    return Audit(
        faces=faces,
        names=tuple(entry.name for entry in source.entries),
        parts=np.array([entry.part or WHOLE for entry in source.entries]),
        groups=groups,
        blank=empty,
        plain=_plain(images) & ~empty,
        border=(_border_share(images) >= _BORDER_SHARE) & ~empty,
        copy=group_sizes(groups) > 1,
        conflict=conflicting(groups, faces.labels),
        near=near_copies(images, firsts[~empty[firsts]]),
    )


def audit_facts(findings: Audit, suspects: int | None = None) -> AuditFacts:
    """The counts of an audit; `suspects`: how many labels were suspected, None where nobody looked."""
    faces = findings.faces
    facts = data_facts(findings.parts, faces.labels, faces.classes, findings.groups, findings.blank)
    counts = faces.counts()
    most, fewest = int(counts.argmax()), int(counts.argmin())
    nearly = findings.nearly_in_train()
    return AuditFacts(
        **vars(facts),
        imbalance=Imbalance(faces.classes[most], faces.classes[fewest], round(float(counts[most] / counts[fewest]), 1)),
        near_copies=NearCopyFacts(
            pairs=len(findings.near),
            mirrored=sum(pair.mirrored for pair in findings.near),
            pairs_in_several_parts=sum(map(findings.near_across, findings.near)),
            pairs_with_different_labels=sum(map(findings.near_conflict, findings.near)),
            nearly_in_train={
                part: int((nearly & (findings.parts == part)).sum()) for part in facts.copies.also_in_train
            },
        ),
        plain=int(findings.plain.sum()),
        border=int(findings.border.sum()),
        suspects=suspects,
    )


def _plain(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """For each image [N], whether one gray fills most of it."""
    ordered = np.sort(images.reshape(len(images), -1), axis=1)
    most = int(_PLAIN_SHARE * ordered.shape[1])
    return (ordered[:, most:] - ordered[:, :-most]).min(axis=1) <= _ONE_GRAY


def _border_share(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """For each image [N], the share of it that lies in rows and columns of one gray at its edges."""
    sides = images, images.transpose(0, 2, 1)
    inner = [images.shape[1] - _leading(lines) - _leading(lines[:, ::-1]) for lines in sides]
    return 1 - np.maximum(inner[0], 0) * np.maximum(inner[1], 0) / images[0].size


def _leading(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each image [N], the number of its first rows that together show one gray."""
    highest = np.maximum.accumulate(images.max(axis=2), axis=1)
    lowest = np.minimum.accumulate(images.min(axis=2), axis=1)
    return (highest - lowest <= _ONE_GRAY).sum(axis=1)
