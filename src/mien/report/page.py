"""Self-contained HTML pages, of a model or of an audit: pictures, style and script are inside.

A content security policy forbids every request, and every script but the page's own, which it knows by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from mien import atomic
from mien.errors import DataError
from mien.records.audit import AuditRecord
from mien.report import intended_use
from mien.report.audit import audit_words
from mien.report.content import ReportData, collect
from mien.report.tables import percent

REPORT, AUDIT_PAGE = "report.html", "audit.html"
RUNS = Path("runs")  # where commands leave their folders unless told otherwise
_PNG = b"\x89PNG\r\n\x1a\n"
_FIGURE_DPI = 150
_CSS_DPI = 96


class Picture(NamedTuple):
    """A PNG as a data URI, and the width in CSS pixels at which its text has the size it was drawn in."""

    uri: str
    width: int


def write_report(folder: Path, audit: Path | None = None, comparisons: Sequence[Path] = ()) -> Path:
    """Write `report.html` into `folder`, about what lies there and in the folders of an audit and of comparisons.

    Evaluations, explanations and explorations that belong to a run are found in the folders beside it, and in runs/.

    Returns its path; raises what `collect` does.
    """
    path = folder / REPORT
    places = [place for place in (folder.resolve().parent, RUNS) if place.is_dir()]
    beside = sorted({other.resolve() for place in places for other in place.iterdir() if other.is_dir()})
    text = render(collect(folder, audit, comparisons, beside))
    atomic.write_bytes(path, text.encode("utf-8", "replace"))  # a file name may hold what UTF-8 cannot
    return path


def write_audit_page(record: AuditRecord, folder: Path) -> Path:
    """Write `audit.html`, the page of an audit, into `folder`; returns its path."""
    text = fill("audit.html", audit=record, words=audit_words(record))
    atomic.write_bytes(folder / AUDIT_PAGE, text.encode("utf-8", "replace"))
    return folder / AUDIT_PAGE


def render(page: ReportData) -> str:
    """The page as HTML; everything that comes from data is escaped."""
    pictures = {name: _picture(source) for name, source in page.figures.items()}
    return fill("page.html", page=page, pictures=pictures, intended_use=intended_use)


def fill(template: str, **values: Any) -> str:
    """A template of this room filled with values; everything that comes from data is escaped."""
    environment = Environment(
        loader=FunctionLoader(_part),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "tie": _tie}
    script = _part("page.js")
    return environment.get_template(template).render(
        **values,
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _part(name: str) -> str:
    return (files("mien.report") / name).read_text(encoding="utf-8")


def _percent(share: float) -> str:
    return _tie(percent(share))


def _tie(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return re.sub(r"(\d) %", "\\1\u00a0%", text)


def _picture(source: Path | bytes) -> Picture:
    data = source if isinstance(source, bytes) else source.read_bytes()
    if data[:8] != _PNG or len(data) < 24:
        raise DataError(f"{source if isinstance(source, Path) else 'a figure'}: not a PNG picture; draw it again")
    (width,) = struct.unpack(">I", data[16:20])
    return Picture("data:image/png;base64," + base64.b64encode(data).decode(), width * _CSS_DPI // _FIGURE_DPI)
