"""A page that captions photos in the browser: static files beside exported networks, run by onnxruntime-web."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from importlib.resources import files
from pathlib import Path

from captioner.errors import UsageError
from captioner.pipelines.gallery.pages import look, page_style

VERSION = "1.22.0"
RUNTIME = {
    "ort.wasm.min.js": "65e09376df69107e881b5c34d2d37aed333a366b6d941073ec518168e269b87d",
    "ort-wasm-simd-threaded.mjs": "30dd851d9c00622940500f71ddd2ff8820c5cb65270816080175b958705385a8",
    "ort-wasm-simd-threaded.wasm": "71aef04959c5c1b6de461b6538e2058e306610034a85aad2742d0c7fd4533fe4",
}
"""The files of onnxruntime-web that the page needs, with their SHA-256."""


def add_page(folder: Path, runtime: Path | None) -> None:
    """Add the page and onnxruntime-web to a folder of exported networks.

    Args:
        folder: of the networks.
        runtime: a folder of onnxruntime-web's files; fetched with npm if None.

    Raises:
        UsageError: the files cannot be had, or are of another version.
    """
    page = files("captioner.pipelines.share") / "page"
    (folder / "index.html").write_bytes((page / "index.html").read_bytes())
    (folder / "worker.js").write_bytes((page / "worker.js").read_bytes())
    (folder / "page.js").write_bytes(look() + (page / "page.js").read_bytes())
    (folder / "page.css").write_bytes(page_style())
    if runtime is not None:
        _take(runtime, folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        _take(_fetched(Path(scratch)), folder)


def _take(runtime: Path, folder: Path) -> None:
    """Copy the runtime's files, each with the checksum that it must have."""
    for name, checksum in RUNTIME.items():
        source = runtime / name
        if not source.is_file():
            raise UsageError(f"{runtime}: has no {name}; --runtime names the folder dist of onnxruntime-web {VERSION}.")
        if hashlib.sha256(source.read_bytes()).hexdigest() != checksum:
            raise UsageError(f"{source}: is not that of onnxruntime-web {VERSION}; take that version's folder dist.")
        shutil.copyfile(source, folder / name)


def _fetched(scratch: Path) -> Path:
    """The folder of the runtime's files, fetched with npm."""
    remedy = f"install npm, or name the folder dist of onnxruntime-web {VERSION} by --runtime"
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(f"npm, which fetches onnxruntime-web, is not installed; {remedy}.")
    command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    packed = next(scratch.glob("*.tgz"), None)
    if done.returncode or packed is None:
        reason = (done.stderr.strip().splitlines() or ["no file came"])[-1]
        raise UsageError(f"npm cannot fetch onnxruntime-web {VERSION} ({reason}); {remedy}.")
    with tarfile.open(packed) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / "package" / "dist"
