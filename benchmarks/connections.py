"""A thousand connections to `captioner serve`: that say nothing, that send half a request, and that post at once.

    python benchmarks/connections.py [--connections 1000]

Printed are how each was answered, how long another client waited meanwhile, and the server's memory and open files.
"""

import argparse
import asyncio
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from serve import draw, form, request


async def post(port: int, body: bytes) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        writer.close()
    except (OSError, asyncio.IncompleteReadError) as error:
        return type(error).__name__
    return head.split()[1].decode()


async def closing(reader: asyncio.StreamReader) -> str:
    """How the server closes a connection."""
    try:
        return (await asyncio.wait_for(reader.read(100), 60)).partition(b"\r\n")[0].decode() or "closed"
    except (OSError, TimeoutError) as error:
        return type(error).__name__


async def load(port: int, bodies: list[bytes], count: int, server: psutil.Process) -> None:
    async def another(what: str) -> None:
        started = time.monotonic()
        status = await post(port, bodies[0])
        taken = time.monotonic() - started
        memory = server.memory_info().rss / 1e6
        print(f"{what}: another client {status} after {taken:.2f} s; {memory:.0f} MB, {server.num_fds()} open files")

    for what, sent in (("silent", b""), ("half a request", bodies[0][:2000])):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
        for _, writer in opened:
            writer.write(sent)
        await another(what)
        print(f"  {dict(Counter(await asyncio.gather(*(closing(reader) for reader, _ in opened))))}")
        for _, writer in opened:
            writer.close()
    started = time.monotonic()
    answers = await asyncio.gather(*(post(port, bodies[n % len(bodies)]) for n in range(count)))
    print(f"posting at once: {dict(Counter(answers))} in {time.monotonic() - started:.0f} s")
    await another("afterwards")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    options = parser.parse_args()
    least = 2 * options.connections + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (least, max(least, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with tempfile.TemporaryDirectory() as scratch:
        draw(Path(scratch), 20)
        bodies = [request(form(path.read_bytes())) for path in sorted(Path(scratch).iterdir())]
        command = [sys.executable, "-m", "captioner", "serve", "--port", "0"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        port = int(re.search(r":(\d+)$", server.stderr.readline().strip())[1])
        while "startup complete" not in json.loads(server.stderr.readline())["message"]:
            pass
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        try:
            asyncio.run(load(port, bodies, options.connections, psutil.Process(server.pid)))
        finally:
            server.terminate()
            server.wait(60)
            drain.wait(10)


if __name__ == "__main__":
    main()
