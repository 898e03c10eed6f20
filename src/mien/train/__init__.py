"""Training: augmentation, recipes, the loop, and run folders."""

from mien.records.recipe import Recipe
from mien.train.progress import Listener
from mien.train.recipes import find_recipe
from mien.train.trainer import TrainResult, train

__all__ = ["Listener", "Recipe", "TrainResult", "find_recipe", "train"]
