"""The command, run in this process."""

import io
import sys

import pytest

from captioner.pipelines import cli


@pytest.fixture
def caption(model_folder, monkeypatch, capfd):
    """Runs `captioner caption`; returns its status, standard output and standard error."""

    def caption(*arguments, model=model_folder):
        monkeypatch.setattr(sys, "argv", ["captioner", "caption", *map(str, arguments), "--model", str(model)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out, err

    return caption
