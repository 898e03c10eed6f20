"""Is one model better than another, or is it chance? From the predictions of both on the same faces.

python examples/compare_models.py runs/a-test/predictions.csv runs/b-test/predictions.csv

`mien evaluate` writes such a table; one of any other origin needs the columns path, label and predicted.
"""

import sys
from pathlib import Path

from mien.evaluate.comparison import compare, read_answers

comparison = compare([read_answers(Path(path)) for path in sys.argv[1:]])
for model in comparison.models:
    low, high = model.accuracy_ci95
    print(f"{model.model}: {model.accuracy:.1%} ({low:.1%} to {high:.1%}, n = {len(comparison.labels):,})")
for pair in comparison.pairs:
    low, high = pair.accuracy_difference_ci95
    difference, p = pair.accuracy_difference, pair.mcnemar_p
    print(f"{pair.b} less {pair.a}: {difference:+.1%} ({low:+.1%} to {high:+.1%}), McNemar's p = {p:.2g}")
