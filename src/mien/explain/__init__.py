"""Explanation: where in a face a network looks."""
