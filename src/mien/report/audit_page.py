"""What an audit leaves in its folder: `audit.csv`, `near.csv`, `drop.csv`, the page, and what reports take from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien import atomic
from mien.audit.findings import Audit
from mien.audit.tables import audit_text, near_text, to_drop
from mien.data.drop import DROP, drop_text
from mien.errors import UsageError
from mien.report.audit_content import AUDIT_CONTENT, audit_content, content_text
from mien.report.page import fill

if TYPE_CHECKING:
    from mien.audit.suspects import Suspect

AUDIT, NEAR, PAGE = "audit.csv", "near.csv", "audit.html"


def check_folder(folder: Path) -> None:
    """Raise UsageError where an audit lies there already."""
    if (folder / AUDIT).exists():
        raise UsageError(f"{folder}: holds an audit already; choose another folder, or remove {folder / AUDIT}")


def write_audit(
    seen: Audit, suspects: Sequence[Suspect] | None, folder: Path, *, data: str, command: str
) -> tuple[Path, ...]:
    """Write page, lists and tables into `folder`; returns their paths. suspects: None where nobody looked for them."""
    content = audit_content(seen, suspects, data=data, command=command, folder=folder)
    texts = {
        PAGE: fill("audit.html", audit=content),
        AUDIT_CONTENT: content_text(content),
        DROP: drop_text(to_drop(seen, suspects or ())),
        NEAR: near_text(seen),
        AUDIT: audit_text(seen, suspects or ()),
    }
    for name, text in texts.items():
        atomic.write_bytes(folder / name, text.encode("utf-8", "replace"))
    return tuple(folder / name for name in texts)
