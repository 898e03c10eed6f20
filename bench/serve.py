"""`mien serve` under load, under attack and over time, on loopback.

    python bench/serve.py [--seconds 60] [--requests 20000] [--only steady,overload,memory,hostile,quiet]

Starts the server as a user would, asks it over raw sockets, and prints a table of figures. `quiet` needs strace.
"""

import argparse
import asyncio
import base64
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "src" / "mien" / "serve" / "page" / "example.png"


@contextmanager
def server(*prefix, arguments=()):
    """A server; yields its process and port."""
    command = [*prefix, sys.executable, "-m", "mien", "serve", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        address = process.stdout.readline().split()[3]
        print(f"| ready after | {time.monotonic() - began:.2f} s |")
        yield process, urlsplit(address).port
    finally:
        began = time.monotonic()
        served = psutil.Process(process.pid)
        [served] = served.children() if prefix else [served]  # strace would let go of it and end
        served.terminate()
        code = process.wait(30)
        print(f"| end after SIGTERM | {time.monotonic() - began:.2f} s, exit {code} |")


def photo(width, height, seed=0):
    """A JPEG with the example's faces in it."""
    rng = np.random.default_rng(seed)
    ground = Image.fromarray(rng.integers(0, 255, (height // 32 + 1, width // 32 + 1, 3), np.uint8))
    picture = ground.resize((width, height), Image.Resampling.BICUBIC)
    with Image.open(EXAMPLE) as faces:
        side = min(width, height) * 9 // 10
        picture.paste(faces.resize((side, side)), (0, 0))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


def request(path, body=b"", kind="image/jpeg"):
    """The bytes of a request."""
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    """One connection, opened anew when the server closed it."""

    def __init__(self, port):
        self.port = port
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, data):
        """Status, headers, body and seconds of an exchange."""
        began = time.monotonic()
        if self.writer is None or self.writer.is_closing() or self.reader.at_eof():  # the server let an idle one go
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(data)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.split("content-length: ")[1].split("\r")[0]
        body = await self.reader.readexactly(int(length))
        if "connection: close" in head:
            self.close()
        return int(head[9:12]), head, body, time.monotonic() - began

    def close(self):
        """Hang up."""
        if self.writer:
            self.writer.close()
            self.writer = None


async def closed_loop(port, data, clients, seconds, pause=0.0):
    """Each client asks as soon as it is answered; returns all exchanges."""
    end, exchanges = time.monotonic() + seconds, []

    async def go():
        client = Client(port)
        while time.monotonic() < end:
            exchange = await client.ask(data)
            exchanges.append(exchange)
            await asyncio.sleep(pause)
        client.close()

    await asyncio.gather(*(go() for _ in range(clients)))
    return exchanges


async def capacity(port, data, seconds=5):
    """Answers a second with as many clients as workers, and one more."""
    exchanges = await closed_loop(port, data, (os.cpu_count() or 1) + 1, seconds)
    return len(exchanges) / seconds


def percentiles(exchanges):
    times = sorted(exchange[3] for exchange in exchanges)
    return statistics.median(times), times[int(0.99 * (len(times) - 1))]


async def steady(port, seconds):
    """Seven tenths of what the server can do, asked for at even intervals."""
    data = request("/v1/predict", photo(640, 480))
    await closed_loop(port, data, 2, 2)
    rate = 0.7 * await capacity(port, data)
    idle, tasks, began = [], [], time.monotonic()

    async def one():
        client = idle.pop() if idle else Client(port)
        exchange = await client.ask(data)
        idle.append(client)
        return exchange

    for i in range(int(rate * seconds)):
        await asyncio.sleep(max(0, began + i / rate - time.monotonic()))
        tasks.append(asyncio.create_task(one()))
    exchanges = await asyncio.gather(*tasks)
    middle, late = percentiles(exchanges)
    statuses = dict(Counter(exchange[0] for exchange in exchanges))
    print(f"| capacity, 640 x 480, four faces | {rate / 0.7:.1f} answers/s |")
    print(f"| {seconds} s at 70 % of it | {statuses}, p50 {1000 * middle:.0f} ms, p99 {1000 * late:.0f} ms |")


async def equal(port, number=1000):
    """Answers over 32 connections, compared with the command line's lines."""
    photos = [photo(200 + 17 * i, 200 + 13 * i, i) for i in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, f"{i}.jpg")) for i in range(8)]
        for name, data in zip(names, photos, strict=True):
            Path(name).write_bytes(data)
        command = [sys.executable, "-m", "mien", "predict", *names, "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    expected = [re.sub(r'"source": "[^"]*"', '"source": "image 1"', line).encode() + b"\n" for line in lines]
    right, todo = 0, iter(range(number))

    async def go():
        nonlocal right
        client = Client(port)
        for i in todo:
            status, _, body, _ = await client.ask(request("/v1/predict", photos[i % 8]))
            while status == 503:
                await asyncio.sleep(0.2)
                status, _, body, _ = await client.ask(request("/v1/predict", photos[i % 8]))
            right += body == expected[i % 8]
        client.close()

    await asyncio.gather(*(go() for _ in range(32)))
    print(f"| answers over 32 connections equal to the command line's | {right:,} of {number:,} |")


async def overload(port, seconds):
    """64 clients that never wait; beside them somebody asks whether the server lives."""
    data = request("/v1/predict", photo(640, 480))
    before = await capacity(port, data)
    crowd = asyncio.create_task(closed_loop(port, data, 64, seconds))
    health = await closed_loop(port, request("/healthz"), 1, seconds, pause=0.05)
    exchanges = await crowd
    statuses = Counter(exchange[0] for exchange in exchanges)
    retry = all("retry-after: " in exchange[1] for exchange in exchanges if exchange[0] == 503)
    after = await capacity(port, data)
    middle, late = percentiles(health)
    print(f"| 64 clients for {seconds} s | {dict(statuses)}, each 503 with Retry-After: {retry} |")
    print(f"| /healthz meanwhile | p50 {1000 * middle:.0f} ms, p99 {1000 * late:.0f} ms |")
    print(f"| capacity before, after | {before:.1f}, {after:.1f} answers/s |")


async def memory(process, port, requests):
    """Memory, files and threads after each tenth of the requests, of pictures of many sizes."""
    rng = np.random.default_rng(0)
    sizes = [*rng.integers(60, 500, (40, 2)).tolist(), [1600, 1200], [40, 700]]
    photos = [photo(width, height, i) for i, (width, height) in enumerate(sizes)]
    watched = psutil.Process(process.pid)
    for tenth in range(1, 11):
        todo = iter(range(requests // 10))

        async def go(todo=todo):
            client = Client(port)
            for i in todo:
                await client.ask(request("/v1/predict", photos[i % len(photos)]))
            client.close()

        await asyncio.gather(*(go() for _ in range(4)))
        await asyncio.sleep(0.5)
        size, files, threads = watched.memory_info().rss / 1e6, watched.num_fds(), watched.num_threads()
        done = f"after {tenth * requests // 10:,} requests of mixed sizes"
        print(f"| {done} | {size:.0f} MB, {files} files, {threads} threads |", flush=True)


async def flood(port, head, chunk, count):
    """Send a head and then chunks until the server has enough; what it says, and how many bytes it took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    writer.write(head)
    sent = 0
    try:
        for _ in range(count):
            writer.write(chunk)
            await asyncio.wait_for(writer.drain(), 5)
            sent += len(chunk)
    except (OSError, TimeoutError):
        pass
    writer.close()
    return (await answer)[9:12].decode(), sent


async def hostile(process, port):
    """Bodies that are too much, and clients that are too slow."""
    head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    million = bytes(1 << 20)
    watched = psutil.Process(process.pid)
    known = await flood(port, f"{head}Content-Length: 1000000000\r\n\r\n".encode(), million, 954)
    pieces = b"100000\r\n" + million + b"\r\n"
    unknown = await flood(port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), pieces, 954)
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
    parts = request("/v1/predict", part * 10_000 + b"--x--\r\n", "multipart/form-data; boundary=x")
    text = json.dumps({"image": base64.b64encode(bytes(15_000_000)).decode()}).encode()
    client = Client(port)
    print(f"| 1 GB with its length | {known[0]}, {known[1] / 1e6:.0f} MB taken |")
    print(f"| 1 GB in chunks | {unknown[0]}, {unknown[1] / 1e6:.0f} MB taken |")
    print(f"| 10,000 parts | {(await client.ask(parts))[0]} |")
    print(f"| 20 MB of base64 of nothing | {(await client.ask(request('/v1/predict', text, 'application/json')))[0]} |")
    print(f"| memory then | {watched.memory_info().rss / 1e6:.0f} MB |")
    kinds = [head.encode(), head.encode() + b"Content-Length: 1000\r\n\r\nx"]
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    began = time.monotonic()
    for i, (_, writer) in enumerate(slow):
        writer.write(kinds[i % 2])
    served = await closed_loop(port, request("/v1/predict", photo(640, 480)), 1, 8)

    async def ended(reader):
        await reader.read()
        return time.monotonic() - began

    ends = await asyncio.gather(*(ended(reader) for reader, _ in slow))
    middle, late = percentiles(served)
    print(f"| 200 slow clients: heads, bodies closed after | {max(ends[::2]):.1f}, {max(ends[1::2]):.1f} s |")
    print(f"| a normal one meanwhile | {len(served)} answers, p50 {1000 * middle:.0f}, p99 {1000 * late:.0f} ms |")
    for _, writer in slow:
        writer.close()


def quiet():
    """Files opened for writing and connections made while the server serves, by strace."""
    if not shutil.which("strace"):
        print("| files written, connections made | strace is not installed |")
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "calls")
        calls = "openat,open,creat,connect,mkdir,unlink,rename"
        with server("strace", "-f", "-qq", "-e", f"trace={calls}", "-o", str(log), arguments=("--model", "tiny")) as (
            _,
            port,
        ):
            asyncio.run(closed_loop(port, request("/v1/predict", photo(640, 480)), 2, 5))
            asyncio.run(closed_loop(port, request("/v1/explain", photo(640, 480)), 1, 2))
        lines = log.read_text().splitlines()
    written = [line for line in lines if re.search("O_WRONLY|O_RDWR|O_CREAT|mkdir|unlink|rename|creat\\(", line)]
    written = [line for line in written if " = -1 " not in line and "/dev/null" not in line]
    made = [line for line in lines if "connect(" in line and "AF_UNIX" not in line]
    print(f"| files written, connections made | {len(written)}, {len(made)} |")
    for line in [*written[:5], *made[:5]]:
        print("   ", line)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--only", default="steady,overload,memory,hostile,quiet")
    options = parser.parse_args()
    only = options.only.split(",")
    if only != ["quiet"]:
        with server() as (process, port):
            if "steady" in only:
                asyncio.run(steady(port, options.seconds))
                asyncio.run(equal(port, options.answers))
            if "overload" in only:
                asyncio.run(overload(port, options.seconds))
            if "memory" in only:
                asyncio.run(memory(process, port, options.requests))
            if "hostile" in only:
                asyncio.run(hostile(process, port))
    if "quiet" in only:
        quiet()


if __name__ == "__main__":
    main()
