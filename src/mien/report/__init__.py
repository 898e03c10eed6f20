"""Report: words, tables, figures and one self-contained page, made from records alone."""
