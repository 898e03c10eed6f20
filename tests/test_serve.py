"""The HTTP API: the command line's answers, the right refusals, limits, and an end in good order."""

import base64
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from urllib.parse import urlencode

import jsonschema
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi_offline", reason="the extra 'serve' is not installed")

from serving import SOURCE, Running, form, serving, until, until_closed

from mien.cli.app import main
from mien.models.files import read_model
from mien.predict.predictor import Predictor
from mien.serve.app import PAGE

JPEG = "image/jpeg"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def strict() -> Iterator[Running]:
    """A server with small limits."""
    limits = {
        "workers": 1, "queue": 1, "max_bytes": 300_000, "max_pixels": 1_000_000, "max_files": 3, "max_connections": 40,
        "max_buffered": 900_000, "head_seconds": 1, "body_seconds": 1.5,
    }  # fmt: skip
    with serving(**limits) as running:
        yield running


@pytest.fixture(scope="module")
def secret() -> Iterator[Running]:
    """A server with a token that lets one foreign page ask."""
    arguments = ("--token", "open sesame", "--allow-origin", "https://friend.example", "--model", "tiny")
    with serving(*arguments) as running:
        yield running


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def faces() -> Image.Image:
    """Four drawn faces: the page's example."""
    with Image.open(PAGE / "example.png") as image:
        image.load()
        return image


@pytest.fixture(scope="module")
def photo(faces: Image.Image) -> bytes:
    return encoded(faces)


@pytest.fixture(scope="module")
def pictures(faces: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of every kind, readable and not."""
    folder = tmp_path_factory.mktemp("pictures")
    turned = Image.Exif()
    turned[0x0112] = 6
    small = faces.resize((336, 336))
    files = {
        "a.jpg": encoded(small),
        "turned.jpg": encoded(small, exif=turned),
        "gray16.png": encoded(Image.fromarray(np.asarray(small).astype(np.uint16) * 257), "PNG"),
        "palette.gif": encoded(small.convert("P"), "GIF"),
        "clear.webp": encoded(small.convert("RGBA"), "WEBP", lossless=True),
        "cmyk.jpg": encoded(small.convert("CMYK")),
        "nobody.png": encoded(Image.new("RGB", (64, 48), "teal"), "PNG"),
        "empty.png": b"",
        "text.jpg": b"not a picture",
        "cut.jpg": encoded(small)[:4000],
        "phone.heic": b"\0\0\0\x18ftypheic" + bytes(64),
        'odd, "name" é.png': encoded(small, "PNG"),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def from_command(
    pictures: Path, names: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *more: str
) -> str:
    monkeypatch.chdir(pictures)
    main(["predict", *names, "--json", *more])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "more, query",
    [
        ((), {}),
        (("--model", "tiny", "--prior", "uniform"), {"model": "tiny", "prior": "uniform"}),
        (("--crop", "none", "--min-confidence", "0.6"), {"crop": "none", "min_confidence": "0.6"}),
        (("--min-face", "30", "--upright"), {"min_face": "30", "upright": "true"}),
    ],
)
def test_answers_are_those_of_the_command_line_byte_for_byte(server, pictures, capsys, monkeypatch, more, query):
    names = sorted(path.name for path in pictures.iterdir())
    files = [(name.replace('"', "%22"), (pictures / name).read_bytes()) for name in names]  # as browsers write names
    reply = server.ask(f"/v1/predict?{urlencode(query)}", *form(files))
    expected = from_command(pictures, names, capsys, monkeypatch, *more)
    assert reply.status == 200 and reply.headers["content-type"] == "application/x-ndjson"
    assert reply.body.decode() == expected


def test_a_picture_alone_gives_one_object_however_it_is_sent(server, photo):
    raw = server.ask("/v1/predict", photo, JPEG)
    text = base64.b64encode(photo).decode()
    as_json = server.ask("/v1/predict", json.dumps({"image": text}), "application/json")
    as_uri = server.ask("/v1/predict", json.dumps({"image": f"data:image/jpeg;base64,{text}"}), "application/json")
    assert raw.status == 200 and raw.headers["content-type"] == "application/json"
    assert raw.body == as_json.body == as_uri.body
    [prediction] = Predictor()(photo)
    assert raw.body.decode() == json.dumps(prediction.to_dict()) + "\n"
    assert len(raw.json()["faces"]) == 4


def test_options(server, photo):
    asked = server.ask("/v1/predict?max_faces=2&tta=true&model=tiny", photo, JPEG).json()["faces"]
    predicted = Predictor("tiny", tta=True)(photo)[0].faces
    largest = sorted(predicted, key=lambda face: -face.box[2] * face.box[3])[:2]
    assert asked == [face.to_dict() for face in predicted if face in largest]
    assert Predictor("tiny")(photo)[0].faces[0].probabilities != predicted[0].probabilities


@pytest.mark.parametrize("model", ["base", "tiny"])
def test_a_predictor_takes_a_model_that_was_read_before(photo, model):
    assert Predictor(read_model(model))(photo) == Predictor(model)(photo)


def test_the_mirrored_face_counts_as_much_as_the_face(faces):
    predictor = Predictor("base", crop="none", tta=True)
    face = faces.crop((40, 30, 290, 310))
    [first], [second] = (each.faces for each in predictor([face, face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]))
    assert first.probabilities == pytest.approx(second.probabilities, abs=0.02)


def test_explanations(server, photo):
    answer = server.ask("/v1/explain?max_faces=1", photo, JPEG).json()
    plain = server.ask("/v1/predict?max_faces=1", photo, JPEG).json()
    [face] = answer["faces"]
    explanation = face.pop("explanation")
    assert answer == plain
    seen, drawn = (Image.open(io.BytesIO(base64.b64decode(explanation[name]))) for name in ("face", "map"))
    assert (seen.mode, seen.size, drawn.mode, drawn.size) == ("L", (48, 48), "RGBA", (48, 48))
    assert 0.3 < explanation["largest_fall"] <= 1 and np.asarray(drawn)[..., 3].max() == 215


def test_models(server):
    answer = server.ask("/v1/models").json()
    assert answer["default"] == "base"
    names = {model["name"]: model for model in answer["models"]}
    assert names.keys() == {"base", "base-fer2013", "large", "tiny"}
    assert [each["name"] for each in names["tiny"]["classes"]] == list(read_model("tiny").classes)
    assert all(re.fullmatch("#[0-9a-f]{6}", each["colour"]) for each in names["tiny"]["classes"])
    assert names["base"]["licence"] == "MIT" and 0.8 < names["base"]["measured"]["accuracy"] < 0.9


def bomb(side: int) -> bytes:
    """A PNG that says it is large and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "path, body, kind, status, words",
    [
        ("/v1/predict", b"", JPEG, 422, "empty"),
        ("/v1/predict", b"nonsense", JPEG, 422, "not a readable image"),
        ("/v1/predict", b"\0\0\0\x18ftypheic" + bytes(50), "image/heic", 422, "HEIC"),
        ("/v1/predict", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 422, "not a readable image"),
        ("/v1/predict", b"GIF89a<script>alert(1)</script>", "image/gif", 422, "not a readable image"),
        ("/v1/predict", bomb(20_000), "image/png", 413, "megapixels"),
        ("/v1/predict", bomb(60_000), "image/png", 413, "megapixels"),
        ("/v1/predict", b"x=1", "application/x-www-form-urlencoded", 415, "image/"),
        ("/v1/predict", b"x", "", 415, "image/"),
        ("/v1/predict", b"x", "text/plain", 415, "image/"),
        ("/v1/predict", b"{", "application/json", 400, "not JSON"),
        ("/v1/predict", b"[" * 100_000, "application/json", 400, "not JSON"),
        ("/v1/predict", b"[]", "application/json", 400, "image"),
        ("/v1/predict", b'{"image": 1}', "application/json", 400, "image"),
        ("/v1/predict", b'{"image": "AA==", "url": "x"}', "application/json", 400, "image"),
        ("/v1/predict", b'{"image": "!!!"}', "application/json", 400, "not base64"),
        ("/v1/predict", b'{"image": "AAA"}', "application/json", 400, "not base64"),
        ("/v1/predict", b'{"image": "\xc3\xa9"}', "application/json", 400, "not base64"),
        ("/v1/predict", b'{"image": "https://example.org/a.jpg"}', "application/json", 400, "fetches nothing"),
        ("/v1/predict", b'{"image": "file:///etc/passwd"}', "application/json", 400, "fetches nothing"),
        ("/v1/predict", b'{"image": "data:image/png,xx"}', "application/json", 400, "base64"),
        ("/v1/predict", b'{"image": "/etc/passwd"}', "application/json", 400, "not base64"),
        ("/v1/predict", b"junk", "multipart/form-data; boundary=xyz", 400, "form"),
        ("/v1/predict", b"junk", "multipart/form-data", 400, "boundary"),
        ("/v1/predict", form([("a", b"x")], "photo")[0], "multipart/form-data; boundary=xyz", 400, "'photo'"),
        ("/v1/predict", form([("a", b"x")])[0][:-9], "multipart/form-data; boundary=xyz", 400, "cut short"),
        ("/v1/predict", form([("a", b"x")] * 17)[0], "multipart/form-data; boundary=xyz", 413, "16 files"),
        ("/v1/predict", form([("a", b"x")] * 10_000)[0], "multipart/form-data; boundary=xyz", 413, ""),
        ("/v1/predict?model=huge", b"x", JPEG, 400, "base"),
        ("/v1/predict?model=../../etc/passwd", b"x", JPEG, 400, "base"),
        ("/v1/predict?modell=base", b"x", JPEG, 400, "no such option"),
        ("/v1/predict?prior=flat", b"x", JPEG, 400, "prior"),
        ("/v1/predict?min_confidence=2", b"x", JPEG, 400, "min_confidence"),
        ("/v1/predict?min_confidence=nan", b"x", JPEG, 400, "min_confidence"),
        ("/v1/predict?max_faces=-1", b"x", JPEG, 400, "max_faces"),
        ("/v1/explain", b"nonsense", JPEG, 422, "not a readable image"),
        ("/v1/nothing", b"x", JPEG, 404, "/docs"),
        ("/../../etc/passwd", None, "", 404, "/docs"),
        ("/app.js", b"x", JPEG, 405, "/docs"),
        ("/v1/predict", None, "", 405, "/docs"),
    ],
)  # fmt: skip
def test_refusals(server, path, body, kind, status, words):
    reply = server.ask(path, body, kind)
    assert reply.status == status and words in reply.problem()
    assert "Traceback" not in reply.body.decode()


def test_compressed_bodies_are_refused(server, photo):
    assert server.ask("/v1/predict", photo, JPEG, Content_Encoding="gzip").status == 415


def test_one_bad_picture_does_not_cost_the_others(server, photo):
    reply = server.ask("/v1/predict", *form([("a.png", bomb(20_000)), ("b", b"x"), ("c.jpg", photo)]))
    first, second, third = (json.loads(line) for line in reply.body.splitlines())
    assert reply.status == 200 and "megapixels" in first["error"] and second["error"].startswith("b: not a readable")
    assert first["faces"] == second["faces"] == [] and len(third["faces"]) == 4


def test_a_map_of_several_pictures_is_a_line_each(server, photo):
    reply = server.ask("/v1/explain?max_faces=1", *form([("b", b"x"), ("c.jpg", photo)]))
    first, second = (json.loads(line) for line in reply.body.splitlines())
    assert "error" in first and "explanation" in second["faces"][0]


# --- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [301_000, 5_000_000])
def test_a_body_too_large_is_refused(strict, size):
    assert "smaller" in strict.ask("/v1/predict", bytes(size), JPEG).problem()
    reply = strict.ask("/v1/predict", repeat(bytes(65536), size // 65536 + 1), JPEG)  # sent in chunks, without length
    assert reply.status == 413


def test_a_body_is_refused_by_its_length_before_it_comes(strict):
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000000000\r\n\r\n"
    )
    began = strict.raw(head)
    assert began.startswith(b"HTTP/1.1 413") and b"connection: close" in began.lower()


def test_pictures_inside_json_and_forms_are_measured_too(strict):
    text = base64.b64encode(bytes(310_000)).decode()
    assert strict.ask("/v1/predict", json.dumps({"image": text}), "application/json").status == 413
    assert strict.ask("/v1/predict", *form([("a", bytes(310_000))])).status == 413
    assert strict.ask("/v1/predict", *form([("a", b"x")] * 4)).status == 413
    large = encoded(Image.new("L", (1001, 1000)), "PNG")
    assert "megapixels" in strict.ask("/v1/predict", large, "image/png").problem()
    assert strict.ask("/v1/predict", encoded(Image.new("L", (1000, 1000)), "PNG"), "image/png").status == 200


def test_slow_clients_are_closed_while_a_normal_one_is_served(strict, photo):
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    long, chunked = b"Content-Length: 1000\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n1\r\n"
    starts = [b"", b"GET", head, head + long, head + chunked]
    wires = [strict.connect() for _ in range(30)]
    for wire, start in zip(wires, starts * 6, strict=True):
        wire.sendall(start)
    assert strict.ask("/v1/predict", photo, JPEG).status == 200
    ends = [until_closed(wire) for wire in wires]
    assert all(end == b"" for i, end in enumerate(ends) if i % 5 < 3)
    assert all(end.startswith(b"HTTP/1.1 408") for i, end in enumerate(ends) if i % 5 >= 3)


def test_a_head_that_trickles_in_has_no_longer_than_one_that_stops(strict):
    with strict.connect() as wire:
        for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(1000):
            try:
                wire.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the server waits for ever")


def test_a_connection_may_be_used_again_and_again(strict, photo):
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", strict.port)
    for _ in range(3):
        connection.request("POST", "/v1/predict", photo, {"Content-Type": JPEG})
        assert connection.getresponse().read()
        time.sleep(0.6)
    connection.close()


def test_more_connections_than_there_is_room_for(strict):
    wires = [strict.connect() for _ in range(45)]
    last = until_closed(wires.pop())
    assert last.startswith(b"HTTP/1.1 503") and b"Retry-After" in last
    for wire in wires:
        wire.close()
    until(lambda: strict.ask("/healthz").status == 200)


def test_a_full_queue_says_come_again(strict, photo):
    statuses: list[tuple[int, dict[str, str]]] = []

    def ask() -> None:
        reply = strict.ask("/v1/explain", photo, JPEG)
        statuses.append((reply.status, reply.headers))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    assert strict.ask("/healthz").status == 200
    for thread in threads:
        thread.join()
    assert {status for status, _ in statuses} == {200, 503}
    assert all(headers["retry-after"] == "1" for status, headers in statuses if status == 503)


def test_a_client_that_hangs_up_frees_its_place(strict, photo):
    head = f"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JPEG}\r\n"
    head += f"Content-Length: {len(photo)}\r\n\r\n"
    for _ in range(6):
        with strict.connect() as wire:
            wire.sendall(head.encode() + photo)
    until(lambda: b"mien_pending_requests 0.0" in strict.ask("/metrics").body)
    assert strict.ask("/v1/predict", photo, JPEG).status == 200


# --- who may ask -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]", "LOCALHOST:8000", "127.9.9.9"])
def test_hosts_that_are_this_machine(server, host):
    assert server.ask("/v1/models", Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "169.254.169.254", "[::2]", "[", ""])
def test_a_rebound_name_is_refused(server, host):
    assert server.ask("/v1/models", Host=host).status == 421
    assert server.ask("/", Host=host).status == 421


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://localhost:1", "http://127.0.0.1.evil.x"]
)
def test_a_foreign_page_is_refused(server, origin, photo):
    body, kind = form([("a.jpg", photo)])
    assert server.ask("/v1/predict", body, kind, Origin=origin).status == 403
    assert server.ask("/v1/models", Origin=origin).status == 403


def test_the_page_itself_may_ask(server, photo):
    origin = server.url.rstrip("/")
    reply = server.ask("/v1/predict", photo, JPEG, Origin=origin)
    assert reply.status == 200 and "access-control-allow-origin" not in reply.headers


def test_a_form_of_another_site_is_refused_without_origin_too(server, photo):
    body, kind = form([("a.jpg", photo)])
    assert server.ask("/v1/predict", body, kind, Sec_Fetch_Site="cross-site").status == 403
    assert server.ask("/", Sec_Fetch_Site="cross-site").status == 200  # a link to the page


@pytest.mark.parametrize(
    "given", ["", "open sesame", "Bearer open", "Bearer open sesame2", "bearer open sesame", "B é"]
)
def test_without_the_token_nothing_is_answered(secret, photo, given):
    headers = {"Authorization": given.encode().decode("latin-1")} if given else {}
    for path, body in (("/v1/models", None), ("/metrics", None), ("/v1/predict", photo)):
        reply = secret.ask(path, body, JPEG if body else "", **headers)
        assert reply.status == 401 and "sesame" not in reply.problem() and reply.headers["www-authenticate"]


def test_with_the_token_all_is(secret, photo):
    assert secret.ask("/v1/predict", photo, JPEG, Authorization="Bearer open sesame").status == 200
    assert secret.ask("/").status == secret.ask("/healthz").status == 200


def test_an_allowed_page_may_ask_and_no_other(secret, photo):
    preflight = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    friend, stranger = "https://friend.example", "https://stranger.example"
    allowed = secret.ask("/v1/predict", None, "", "OPTIONS", Origin=friend, **preflight)
    assert allowed.status == 200 and allowed.headers["access-control-allow-origin"] == friend
    assert secret.ask("/v1/predict", None, "", "OPTIONS", Origin=stranger, **preflight).status == 403
    reply = secret.ask("/v1/predict", photo, JPEG, Origin=friend, Authorization="Bearer open sesame")
    assert reply.status == 200 and reply.headers["access-control-allow-origin"] == friend


# --- documents and the page --------------------------------------------------------------------------------------


def test_the_documentation_loads_nothing_from_elsewhere(server):
    page = server.ask("/docs")
    assert page.status == 200
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page.body.decode())
    paths = re.findall(r'(?:src|href)="(/[^"]+)"', page.body.decode())
    assert paths
    assert all(server.ask(path).status == 200 for path in paths)


def test_openapi_describes_every_route(server):
    described = server.ask("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    routes = {"/v1/predict", "/v1/explain", "/v1/models", "/healthz", "/readyz", "/metrics"}
    assert described["paths"].keys() == routes
    predict = described["paths"]["/v1/predict"]["post"]
    assert {each["name"] for each in predict["parameters"]} == {
        "model", "labels", "prior", "crop", "min_confidence", "min_face", "upright", "max_faces", "tta",
    }  # fmt: skip
    assert predict["parameters"][0]["schema"]["enum"] == [m["name"] for m in server.ask("/v1/models").json()["models"]]
    assert predict["requestBody"]["content"].keys() >= {"image/jpeg", "application/json", "multipart/form-data"}
    assert predict["responses"].keys() >= {"200", "400", "401", "403", "413", "415", "421", "422", "503"}
    assert predict["responses"]["200"]["content"]["application/json"]["example"]["faces"]


@pytest.mark.parametrize("route", ["/v1/predict", "/v1/explain"])
def test_openapi_describes_every_field_of_an_answer(server, faces, route):
    """The document allows no other fields, so none is forgotten; its example is such an answer too."""
    answer = server.ask("/openapi.json").json()["paths"][route]["post"]["responses"]["200"]["content"][
        "application/json"
    ]
    jsonschema.validate(answer["example"], answer["schema"])
    lying = encoded(faces.transpose(Image.Transpose.ROTATE_90))
    animated = encoded(faces.convert("P"), "GIF", save_all=True, append_images=[Image.new("P", faces.size)])
    seen = set()
    for data in (lying, animated):
        reply = server.ask(f"{route}?min_confidence=1", data, JPEG).json()
        jsonschema.validate(reply, answer["schema"])
        seen |= reply.keys() | reply["faces"][0].keys()
    face = answer["schema"]["properties"]["faces"]["items"]["properties"]
    assert seen == (answer["schema"]["properties"].keys() | face.keys()) - {"error"}


def test_the_page_and_its_files(server):
    page = server.ask("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    for file in PAGE.iterdir():
        assert server.ask(f"/{file.name}").body == file.read_bytes()


def test_the_page_names_no_other_place():
    for file in PAGE.glob("*.[hcj]*"):
        addresses = set(re.findall(r"https?://[\w.-]+", file.read_text()))
        assert addresses <= {"http://www.w3.org", "http://ns.adobe.com"}, file  # names of XML, not asked for


def test_metrics(server, photo):
    def value(name: str) -> float:
        text = server.ask("/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        assert found
        return float(found[1])

    name = 'mien_requests_total{route="/v1/predict",status="200"}'
    server.ask("/v1/predict", photo, JPEG)
    before, found = value(name), value("mien_faces_total")
    server.ask("/v1/predict", photo, JPEG)
    assert (value(name), value("mien_faces_total")) == (before + 1, found + 4)
    assert value("process_resident_memory_bytes") > 1e7 and value("mien_pending_requests") == 0
    for path in range(5):
        server.ask(f"/nothing{path}")
    assert b"nothing" not in server.ask("/metrics").body


# --- the command -------------------------------------------------------------------------------------------------


def test_a_busy_port_gets_a_line_and_the_next_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serving("--port", str(port), "--model", "tiny") as running:
            assert running.port > port
            running.process.send_signal(signal.SIGINT)
            _, remarks = running.process.communicate(timeout=30)
    assert remarks == f"port {port} is taken; using {running.port}\n" and running.process.returncode == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--host", "192.0.2.1", "--token", "x"], "192.0.2.1"),
        (["--host", "no.such.host.invalid", "--token", "x"], "no such address"),
        (["--workers", "0"], "--workers"),
        (["--port", "70000"], "--port"),
        (["--model", "huge"], "huge"),
        (["--model", "tiny", "--model", "tiny"], "tiny"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_at_the_start(arguments, words, capsys):
    assert main(["serve", "--port", "0", *arguments] if "--port" not in arguments else ["serve", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_missing_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("mien.extras.find_spec", lambda _: None)
    assert main(["serve"]) == 2
    said = capsys.readouterr().err
    assert "mien serve needs fastapi, " in said and said.endswith("uvicorn: pip install '.[serve]'\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished_at_the_end(photo, number):
    statuses: list[int] = []
    with serving(workers=2, queue=40) as running:

        def ask() -> None:
            statuses.append(running.ask("/v1/explain", photo, JPEG).status)

        threads = [threading.Thread(target=ask) for _ in range(32)]
        for thread in threads:
            thread.start()
        slow = running.connect()
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n"
        slow.sendall(head + b"1")
        until(lambda: b"mien_pending_requests 32.0" in running.ask("/metrics").body or len(statuses) > 2)
        running.process.send_signal(number)
        for thread in threads:
            thread.join()
        assert until_closed(slow).startswith(b"HTTP/1.1 503")
        output, remarks = running.process.communicate(timeout=30)
    assert len(statuses) == 32 and set(statuses) <= {200, 503} and 200 in statuses
    assert (running.process.returncode, output, remarks) == (0, "", "")


def test_nothing_is_written_and_nothing_is_logged(tmp_path, photo):
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "CI": ""}
    with serving("--model", "tiny", "--token", "hush", environment=environment) as running:
        for body, kind in ((photo, JPEG), form([("a", photo + bytes(3_000_000))]), (b"x", JPEG)):
            running.ask("/v1/predict", body, kind, Authorization="Bearer hush")
        running.raw(b"nonsense\r\n\r\n")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.communicate(timeout=30) == ("", "")
    assert not list(tmp_path.rglob("*"))


def test_the_server_loads_no_torch():
    code = "import sys, mien.cli.serve, mien.serve.app; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["False", "False"]


# --- clients -----------------------------------------------------------------------------------------------------

CLIENTS = Path(__file__).parents[1] / "examples" / "http"


@pytest.mark.parametrize("program, client", [(sys.executable, "predict.py"), ("node", "predict.mjs")])
def test_clients_in_other_languages(server, photo, tmp_path, program, client):
    if not shutil.which(program):
        pytest.skip(f"no {program} on this machine")
    (tmp_path / "photo.jpg").write_bytes(photo)
    command = [program, CLIENTS / client, server.url.rstrip("/"), tmp_path / "photo.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    faces = server.ask("/v1/predict", photo, JPEG).json()["faces"]
    assert done.stdout.splitlines() == [f"{face['emotion']} {face['confidence']}" for face in faces]


def test_the_client_for_the_shell(server, photo, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    for name in ("a.jpg", "b c.jpg"):
        (tmp_path / name).write_bytes(photo)
    command = ["sh", CLIENTS / "predict.sh", server.url.rstrip("/"), "a.jpg", "b c.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["source"] for answer in answers] == ["a.jpg", "b c.jpg"]
    assert [len(answer["faces"]) for answer in answers] == [4, 4]
