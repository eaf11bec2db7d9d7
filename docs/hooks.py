"""What `mkdocs build` does besides: `demo/` becomes the page that captions photos in the browser, made anew each time.

So no weights are kept twice. Where it cannot be made, `demo/` stays what `demo.md` says, and the build goes on.
"""

import io
import logging
import os
import shutil
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

RUNTIME = "CAPTIONER_ORT_WEB"
"""The environment variable that names onnxruntime-web's folder dist; without it npm fetches the files."""

_log = logging.getLogger("mkdocs.hooks.demo")
_command = "build"


def on_startup(command: str, dirty: bool) -> None:
    """Remember what mkdocs does: `mkdocs serve` builds after every change, and a demo takes half a minute."""
    global _command
    _command = command


def on_post_build(config: Any) -> None:
    """Export the captioner that `extra.demo` names over the page `demo`."""
    if _command != "build":
        _log.info("demo: is made by mkdocs build only")
        return
    try:
        from captioner.errors import CaptionerError
        from captioner.pipelines.share.export import export
        from captioner.pipelines.share.options import ExportOptions
    except ImportError as error:
        _log.info("demo: not made, for captioner is not installed (%s)", error)
        return
    named = os.environ.get(RUNTIME)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "demo"
        runtime = None if named is None else Path(named)
        try:
            with redirect_stdout(io.StringIO()):  # where a folder is named that goes again
                export(ExportOptions(model=config["extra"]["demo"], output=folder, form="web", runtime=runtime))
        except CaptionerError as error:
            _log.info("demo: not made, because %s", error)
            return
        shutil.copytree(folder, Path(config["site_dir"]) / "demo", dirs_exist_ok=True)
    _log.info("demo: made of %s", config["extra"]["demo"])
