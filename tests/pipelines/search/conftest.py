"""A captioner with random weights and a quick part to match, and the command run on it."""

import io
import json
import shutil

import pytest
import torch

from captioner.models.base import load
from captioner.models.search import SearchNetwork, write_search
from captioner.models.search_config import SearchConfig, captioner_digest
from captioner.pipelines import cli


@pytest.fixture(scope="session")
def finder_folder(model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finder") / "tiny"
    shutil.copytree(model_folder, folder)
    model = load(folder)
    config = SearchConfig(captioner=captioner_digest(folder), hidden_size=8, size=6)
    torch.manual_seed(0)
    network = SearchNetwork(config, model.config.decoder.embedding_size, model.encoder.channels)
    write_search(folder, config, network)
    return folder


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
