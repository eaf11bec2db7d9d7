"""`captioner cache` lists what is kept for the user, and deletes nothing else."""

import pytest

from captioner.errors import UsageError
from captioner.pipelines.cli import run_command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "captioner"
    for name, files in {"0a1b": ("about.json", "cnn.bin"), "new-xyz": ("cnn.bin",), "mine": ("diary.txt",)}.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).write_bytes(bytes(500_000))
    (folder / "search-0a-2.index").write_bytes(bytes(2_000_000))
    (folder / "search-0a-2.index.lock").touch()
    (folder / "notes.txt").write_text("mine")
    return folder


def test_what_is_kept_is_listed_with_its_size(folder, capsys):
    assert run_command("cache") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    listed = "\n".join(lines)
    assert "1.0 MB" in listed
    assert "converted CNN: 0a1b" in listed
    assert "conversion that was interrupted: new-xyz" in listed
    assert "index of a search: search-0a-2.index" in listed
    assert lines[-1].startswith(f"3.5 MB in {folder}. Features")


def test_clearing_deletes_what_is_listed_and_nothing_else(folder, capsys):
    assert run_command("cache", clear=True) == 0
    assert capsys.readouterr().out.endswith(f"3.5 MB in {folder} deleted.\n")
    assert sorted(path.name for path in folder.iterdir()) == ["mine", "notes.txt"]
    assert run_command("cache", clear=True) == 0


def test_a_folder_that_is_not_there_is_empty(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    assert run_command("cache") == 0
    assert "0.0 MB" in capsys.readouterr().out


def test_what_cannot_be_deleted_is_one_sentence(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(UsageError, match=r"cannot be deleted \(Permission denied\)"):
        run_command("cache", clear=True)
