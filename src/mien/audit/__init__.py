"""Auditing: copies, near copies, pictures without a face, labels that are probably wrong."""
