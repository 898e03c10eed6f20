"""Score a model on labelled faces, with confidence intervals.

python examples/evaluate_model.py runs/classic-s0 data/archive.zip
"""

import sys

from mien import open_data, read_model
from mien.evaluate import evaluate

model_path, data_path = sys.argv[1:]
split = open_data(data_path)
part = "test" if len(split.test) else "val"
faces = split.part(part)

evaluation = evaluate(read_model(model_path), faces)
scores = evaluation.scores
low, high = scores.accuracy_ci95
print(f"{part} accuracy {scores.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}, n = {scores.n:,})")
print(f"macro F1 {scores.macro_f1:.3f}, calibration error {scores.ece:.3f}")
for name, score in scores.per_class.items():
    print(f"{name:10} precision {score.precision:.2f} recall {score.recall:.2f} F1 {score.f1:.2f} n = {score.support}")

surest_mistakes = sorted((~evaluation.right).nonzero()[0], key=lambda i: -evaluation.confidence[i])[:3]
for i in surest_mistakes:
    print(f"{faces.paths[i]} was called {faces.classes[evaluation.predicted[i]]} at {evaluation.confidence[i]:.2f}")
