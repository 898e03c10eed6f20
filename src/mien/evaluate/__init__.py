"""Evaluation: a model on one part of the data, scored with intervals."""

from mien.evaluate.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
