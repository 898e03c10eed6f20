"""The page of an audit: `audit.html`."""

from __future__ import annotations

from pathlib import Path

from mien import atomic
from mien.records.audit import AuditRecord
from mien.report.audit import audit_words
from mien.report.page import fill

PAGE = "audit.html"


def write_audit_page(record: AuditRecord, folder: Path) -> Path:
    """Write the page of an audit into `folder`; returns its path."""
    text = fill("audit.html", audit=record, words=audit_words(record))
    atomic.write_bytes(folder / PAGE, text.encode("utf-8", "replace"))
    return folder / PAGE
