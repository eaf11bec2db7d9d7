"""What a wheel holds, and that Python finds the package wherever it is started."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def sources():
    """The tracked files of the package, relative to the root; all files where there is no repository."""
    command = ["git", "ls-files", "-z", "captioner", "pipelines"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return [name for name in found.stdout.split("\0") if name and (ROOT / name).is_file()]
    files = [path for folder in ("captioner", "pipelines") for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the tracked files, built where an earlier build has left a module that is gone."""
    copy = tmp_path_factory.mktemp("source")
    for name in [*sources(), "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (copy / "build/lib/captioner").mkdir(parents=True)
    (copy / "build/lib/captioner/gone.py").write_text("")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", copy / "dist", copy], check=True)
    return next((copy / "dist").glob("*.whl"))


def test_a_wheel_holds_the_tracked_files_and_nothing_else(wheel):
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(name.replace("pipelines/", "captioner/pipelines/", 1) for name in sources())


def models(folder, path=None):
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else dict(os.environ)
    command = [sys.executable, "-m", "captioner", "models"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("in_the_root", [True, False])
def test_the_checkout_runs_as_a_module_in_its_root_and_elsewhere(in_the_root, tmp_path):
    shown = models(ROOT if in_the_root else tmp_path, ROOT)
    assert "photos" in shown.stdout, shown.stderr


@pytest.mark.parametrize("in_the_root", [True, False])
def test_an_installed_package_runs_as_a_module_in_the_root_of_a_checkout_and_elsewhere(wheel, in_the_root, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site-packages")
    shown = models(ROOT if in_the_root else tmp_path, tmp_path / "site-packages")
    assert "photos" in shown.stdout, shown.stderr
