"""Commands that write pages: report, card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from mien import atomic
from mien.cli.options import Repeated, option, several
from mien.errors import UsageError
from mien.extras import require


def report(
    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]],
    audit: Annotated[Path | None, option("FOLDER", "none")] = None,
    compare: Annotated[Repeated[tuple[Path, ...]], option("FOLDER", "none")] = (),
) -> None:
    """Write one self-contained HTML page from a run or evaluation folder.

    Args:
        run: folder that `mien train` or `mien evaluate` wrote.
        audit: folder that `mien audit` wrote about the data.
        compare: folder that `mien compare` wrote about this model and others; may be given several times.
    """
    require("mien report", "jinja2")
    from mien.report.page import write_report

    print(write_report(run, audit, compare))


def card(
    folders: tyro.conf.Positional[Annotated[tuple[Path, ...], several("RUN")]],
    out: Annotated[Path | None, option("FILE", "printed")] = None,
) -> None:
    """Write a model card from the files of run and evaluation folders.

    Args:
        folders: run and evaluation folders, of one model or of several.
        out: the Markdown file to write.
    """
    require("mien card", "jinja2")
    from mien.report.card import card as written

    if not folders:
        raise UsageError("nothing to write a card of; give a run folder or an evaluation folder")
    text = written(folders)
    if out:
        atomic.write_text(out, text)
    print(out or text)
