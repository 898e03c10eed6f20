"""Name the expressions in photos.

python examples/predict_photo.py photo.jpg holiday/
"""

import sys

from mien import Predictor

predictor = Predictor("base", min_confidence=0.5)  # or "tiny", or the path of a model of yours
for prediction in predictor.stream(sys.argv[1:]):  # one picture in memory at a time, however many there are
    if prediction.error:
        print(prediction.error, file=sys.stderr)
    for face in prediction.faces:
        left, top, width, height = face.box
        doubt = " (uncertain)" if face.uncertain else ""
        print(f"{prediction.source}: {width}x{height} at {left},{top} {face.emotion} {face.confidence:.4f}{doubt}")
