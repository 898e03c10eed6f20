"""Commands that write pages: report, card."""

from __future__ import annotations

from pathlib import Path

import tyro

from mien import atomic
from mien.cli.options import Repeated
from mien.errors import UsageError


def report(
    run: tyro.conf.Positional[Path], audit: Path | None = None, compare: Repeated[tuple[Path, ...]] = ()
) -> None:
    """Write one self-contained HTML page from a run folder or an evaluation folder.

    Args:
        run: folder that `mien train` or `mien evaluate` wrote.
        audit: folder that `mien audit` wrote about the data.
        compare: folder that `mien compare` wrote about this model and others; may be given several times.
    """
    from mien.report.page import write_report

    print(write_report(run, audit, compare))


def card(folders: tyro.conf.Positional[tuple[Path, ...]], out: Path | None = None) -> None:
    """Write a model card: data, training, scores with intervals, uses, limits; all from the folders' own files.

    Args:
        folders: run and evaluation folders, of one model or of several.
        out: the Markdown file to write; printed if not given.
    """
    from mien.report.card import card as written

    if not folders:
        raise UsageError("nothing to write a card of; give a run folder or an evaluation folder")
    text = written(folders)
    if out:
        atomic.write_text(out, text)
    print(out or text)
