"""Write a model for other languages, and check that onnxruntime gives the same answers.

    python examples/export_onnx.py runs/classic-s0 model.onnx face.png

docs/export.md describes the input and the outputs; onnx/predict.mjs runs the file from JavaScript.
"""

import sys
from pathlib import Path

import numpy as np

from mien import predict_proba, read_model, write_model

source, target, picture = sys.argv[1:]
model = read_model(source)
write_model(model, target)  # the suffix picks the format

face = model.preprocess.decode(Path(picture).read_bytes(), picture)[None]  # uint8 [1, 48, 48]
before, after = (predict_proba(one, face) for one in (model, read_model(target)))
for name, one, other in zip(model.classes, before[0], after[0], strict=True):
    print(f"{name:10} {one:.6f} {other:.6f}")
assert np.allclose(before, after, atol=1e-4), "the exported model answers otherwise"
