"""The command and its shards."""

import json
import sys

import pytest

from captioner.pipelines import cli


@pytest.fixture
def run(model_folder, monkeypatch, capfd, workers_here):
    """Runs the command; with `--cluster here` its workers are in this process. Returns status and outputs."""

    def run(*arguments, model=model_folder):
        monkeypatch.setattr(sys, "argv", ["captioner", "caption", *map(str, arguments), "--model", str(model)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out, err

    return run


@pytest.fixture
def rows_in():
    """The rows of a folder's JSON Lines shards, in the order of their names."""

    def rows_in(folder):
        return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]

    return rows_in
