"""A web app around `Predictor`, with Python's own server: post a picture, get its faces as JSON.

    python examples/web_app.py 8000
    curl --data-binary @photo.jpg http://127.0.0.1:8000/

One predictor serves all threads. It listens on this machine only and caps a picture at 20 MB. `mien serve` is the
server for the open.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mien import Predictor

predictor = Predictor()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        if not 0 < size <= 20_000_000:
            return self.send_error(413)
        (prediction,) = predictor([self.rfile.read(size)])
        answer = json.dumps(prediction.to_dict()).encode()
        self.send_response(422 if prediction.error else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
