"""The command run on a captioner with random weights and a quick part to match."""

import io
import json

import pytest

from captioner.pipelines import cli


@pytest.fixture
def run(tmp_path, finder_folder, monkeypatch, capsys):
    """Runs `captioner search` in a folder; returns status, rows (or text) and what went to standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments, model=finder_folder, typed=""):
        monkeypatch.setattr("sys.argv", ["captioner", "search", *arguments, "--model", str(model)])
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as found:
            cli.main()
        out, err = capsys.readouterr()
        return found.value.code or 0, [json.loads(line) for line in out.splitlines()], err

    return run
