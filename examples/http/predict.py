"""The faces in a photo, by Python's standard library. `mien serve` must run.

python examples/http/predict.py http://127.0.0.1:8000 photo.jpg
"""

import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

server, photo = sys.argv[1:]
request = Request(f"{server}/v1/predict", Path(photo).read_bytes(), {"Content-Type": "image/jpeg"})
for face in json.load(urlopen(request))["faces"]:
    print(face["emotion"], face["confidence"])
