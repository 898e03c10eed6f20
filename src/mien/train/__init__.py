"""Training: augmentation, recipes, the loop, and run folders."""

from typing import TYPE_CHECKING, Any

from mien.records.recipe import Recipe
from mien.train.progress import Listener
from mien.train.recipes import find_recipe

if TYPE_CHECKING:
    from mien.train.trainer import TrainResult, train

__all__ = ["Listener", "Recipe", "TrainResult", "find_recipe", "train"]


def __getattr__(name: str) -> Any:
    """The trainer's names, fetched when first used: recipes can be read without torch."""
    if name not in __all__:
        raise AttributeError(f"module 'mien.train' has no attribute '{name}'")
    from mien.train import trainer

    return getattr(trainer, name)
