"""The OpenAPI description holds: whatever fits it, or does not, is answered, and never by a failure of the server."""

import subprocess
import sys
from pathlib import Path

import pytest

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="schemathesis is not installed")
def test_no_request_that_is_made_from_the_description_ends_in_a_failure(start, folders):
    server = start(*(each for folder in folders.values() for each in ("--model", str(folder))))
    command = [SCHEMATHESIS, "run", f"{server.address}/openapi.json", "--checks", "not_a_server_error"]
    limits = ["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "1", "--no-color"]
    done = subprocess.run([*command, *limits], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    answered = [line for line in server.lines if '"path": "/v1/' in line]
    assert len(answered) > 40
    assert not any('"status": 5' in line for line in answered)
