"""Faces in photos, videos and camera pictures, and the expressions they show."""

import sys
from types import ModuleType
from typing import Any, NoReturn


class _Package(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise TypeError("mien.predict is a package; name expressions with mien.Predictor()(pictures)")


sys.modules[__name__].__class__ = _Package  # whoever tries mien.predict(...) is told what to call
