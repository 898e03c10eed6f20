"""Data: sources, splits, preparation, copies, and the drawn faces."""
