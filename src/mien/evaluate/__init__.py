"""Evaluation: a model on one part of the data, scored with intervals."""
