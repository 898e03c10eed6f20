"""Many files: pictures by the thousand or the million, answered into a table, on one machine or many: `mien batch`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.scale.expressions import Expressions

__all__ = ["Expressions"]


def __getattr__(name: str) -> Any:
    """`Expressions`, fetched when first used: its module needs pyarrow."""
    if name not in __all__:
        raise AttributeError(f"module 'mien.scale' has no attribute '{name}'")
    from mien.scale.expressions import Expressions

    return Expressions
