"""Letters for pictures: Pillow's own, or a font of the system's where names of classes need other letters."""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SYSTEMS_OWN = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "msyh.ttc", "arial.ttf")


def font(size: int, text: str) -> Font:
    """A font of `size` pixels for a text: Pillow's knows ASCII, and what the system has is a matter of luck."""
    return _plain(size) if text.isascii() else _wide(size)


@lru_cache(64)
def _plain(size: int) -> Font:
    return ImageFont.load_default(size)


@lru_cache(64)
def _wide(size: int) -> Font:
    for name in _SYSTEMS_OWN:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return _plain(size)
