"""The command as a process: how it starts, whom it refuses, what slow clients get, and how it ends."""

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from captioner.pipelines import cli


@pytest.fixture(scope="module")
def server(start, model_folder):
    return start("--model", str(model_folder), "--max-mb", "1")


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs the command in this process; returns its status and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["captioner", "serve", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capfd.readouterr().err

    return run


def form(seed=0):
    picture = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    photo = cv2.imencode(".jpg", picture)[1].tobytes()
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    return head + photo + b"\r\n--x--\r\n"


def post(address, seed=0):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{address}/v1/caption", form(seed), headers), timeout=60
    ) as got:
        return json.loads(got.read())


def connected(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def received(connection):
    """All that comes until the server closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_many_clients_at_once_are_all_answered_and_share_batches(server):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda seed: post(server.address, seed), range(48)))
    assert all("caption" in answer["rows"][0] for answer in answers)
    with urllib.request.urlopen(f"{server.address}/metrics") as got:
        counters = dict(line.rsplit(" ", 1) for line in got.read().decode().splitlines() if line[0] != "#")
    assert float(counters["captioner_batch_size_sum"]) > float(counters["captioner_batch_size_count"])


def test_a_body_that_never_ends_is_cut_off(server):
    with connected(server.address) as connection:
        connection.sendall(
            b"POST /v1/caption HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            for _ in range(100):
                connection.sendall(b"186a0\r\n" + bytes(100_000) + b"\r\n")
            answer = received(connection)
        except ConnectionError:
            answer = b" 413 "
    assert b" 413 " in answer
    assert post(server.address)["rows"]


def test_clients_that_say_nothing_or_go_away_hold_nothing_up(server):
    silent = [connected(server.address) for _ in range(200)]
    for connection in silent[::2]:
        connection.sendall(b"POST /v1/caption HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\nhalf")
    for connection in silent[1::4]:
        connection.sendall(b"GET /healthz HTT")
    started = time.monotonic()
    assert post(server.address)["rows"]
    assert time.monotonic() - started < 20
    for connection in silent[::2]:
        connection.close()
    silent[1].settimeout(40)
    assert received(silent[1]) == b""  # closed, after some seconds without a whole request
    for connection in silent[1::2]:
        connection.close()


def test_heads_that_never_end_and_no_requests_at_all_are_closed(server):
    for content in (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, b"\x16\x03\x01\x02" * 100):
        with connected(server.address) as connection:
            try:
                connection.sendall(content)
                answer = received(connection)
            except ConnectionError:
                answer = b""
        assert answer == b"" or b" 400 " in answer
    assert b"\r\ncontent-type: application/problem+json\r\n" in answer


def test_told_to_end_it_finishes_what_it_has_taken(start, model_folder):
    server = start("--model", str(model_folder), "--workers", "1")
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(post, server.address, seed) for seed in range(8)]
        answers[0].result()
        status = server.stop()
        done = [answer.exception() for answer in answers]
    assert all(error is None or isinstance(error, (urllib.error.URLError, ConnectionError)) for error in done)
    assert sum(error is None for error in done) >= 1
    told = [json.loads(line) for line in server.lines[1:]]
    taken = [line for line in told if line.get("path") == "/v1/caption"]
    assert all(line["status"] == 200 for line in taken)
    assert sum(error is None for error in done) == len(taken)
    assert status in (0, -15)


def test_beyond_this_machine_a_token_is_asked_for(run):
    status, error = run("--host", "0.0.0.0")
    assert status == 2
    assert error == (
        "captioner: --host 0.0.0.0 lets other machines ask; give a --token that they must know, or --no-token.\n"
    )
    assert run("--host", "0.0.0.0", "--token", "short")[1].startswith("captioner: --token: give 8 to 200 characters")


def test_an_address_that_is_taken_and_a_model_that_is_none_are_sentences(run, model_folder, server):
    port = server.address.rpartition(":")[2]
    status, error = run("--port", port, "--model", model_folder)
    assert (status, error.count("\n")) == (2, 1)
    assert "choose another port" in error
    assert "a..b: no such host; give a name" in run("--host", "a..b", "--no-token")[1]
    assert "host.invalid: no such host; give a name" in run("--host", "host.invalid", "--no-token")[1]
    assert run("--model", "nothing")[1].startswith("captioner: nothing: no such model.")
    assert "two models are called tiny" in run("--model", model_folder, "--model", model_folder)[1]


def test_without_the_extra_one_sentence_names_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    status, error = run()
    assert status == 2
    assert 'pip install "captioner[serve]"' in error
    assert error.count("\n") == 1


def test_a_client_that_hangs_up_while_it_sends_leaves_no_traceback_in_the_log(start, model_folder):
    server = start("--model", str(model_folder))
    head = b"POST /v1/caption HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n"
    with connected(server.address) as connection:
        connection.sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
    until = time.monotonic() + 30
    while not any('"status": 499' in line for line in server.lines) and time.monotonic() < until:
        time.sleep(0.05)
    server.stop()
    assert any('"status": 499' in line for line in server.lines)
    assert not any("traceback" in line for line in server.lines)
