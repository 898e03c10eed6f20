"""Report: figures, words and one self-contained page."""
