"""README as a package index shows it: it has no folder beside it, so links between files become absolute there.

The address is that of the tag from which the release workflow builds. Elsewhere none is known, and README stays as is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ReadmeHook(MetadataHookInterface):
    """Fills the field `readme` of the package's metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling for wheel and sdist."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, os.environ)}


def absolute(text: str, environment: Mapping[str, str]) -> str:
    """Markdown whose pictures and links lead to the tag that is released; unchanged where none is."""
    if environment.get("GITHUB_REF_TYPE") != "tag":
        return text
    home = f"{environment['GITHUB_SERVER_URL']}/{environment['GITHUB_REPOSITORY']}"
    tag = environment["GITHUB_REF_NAME"]

    def link(found: re.Match[str]) -> str:
        kind = "raw" if found["picture"] else "blob"
        return f"{found['picture']}[{found['text']}]({home}/{kind}/{tag}/{found['path']})"

    return re.sub(r"(?P<picture>!?)\[(?P<text>[^]]*)\]\((?P<path>[^):#]+)\)", link, text)
