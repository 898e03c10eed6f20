"""Compiled kernels for training on a CPU."""
