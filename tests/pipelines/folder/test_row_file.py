"""A file of rows is whole after every write, is continued after any interruption, and survives a full disk."""

import json
import os
import random
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from captioner.errors import UsageError
from captioner.pipelines.folder.row_file import RowFile, WriteError, replace_file


@contextmanager
def files_of_at_most(size: int):
    """Writing beyond `size` bytes fails half-way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def started(path, **layout) -> RowFile:
    file = RowFile(str(path), **layout)
    file.start(0, 0)
    return file


def test_the_file_is_whole_after_every_write(tmp_path):
    path = tmp_path / "rows.json"
    file = started(path, head=b"[\n", between=b",\n", tail=b"\n]\n")
    assert json.loads(path.read_bytes()) == []
    for number in range(5):
        file.append([str(number).encode(), b'"x"'])
        assert json.loads(path.read_bytes())[-2:] == [number, "x"]
        assert file.size == path.stat().st_size
    file.close()
    file.close()


def test_a_file_without_rows_or_head_is_empty(tmp_path):
    started(tmp_path / "rows").close()
    assert (tmp_path / "rows").read_bytes() == b""


def test_a_shorter_tail_leaves_nothing_of_a_longer_one(tmp_path):
    file = started(tmp_path / "rows", tail=b"\na long tail\n")
    file.append([b"row"])
    file.change_tail(b"\n.\n")
    assert (tmp_path / "rows").read_bytes() == b"row\n.\n"


def test_a_full_disk_leaves_what_was_there_and_says_so(tmp_path):
    path = tmp_path / "rows.json"
    file = started(path, head=b"[\n", between=b",\n", tail=b"\n]\n")
    file.append([b"1", b"2"])
    before = path.read_bytes()
    with (
        files_of_at_most(100),
        pytest.raises(WriteError, match=r"rows\.json: cannot be written \(file too large\)\. Its 2 rows"),
    ):
        file.append([b"7" * 200])
    assert path.read_bytes() == before
    file.append([b"3"])
    assert json.loads(path.read_bytes()) == [1, 2, 3]


def test_two_runs_do_not_write_one_file(tmp_path):
    first = started(tmp_path / "rows")
    with pytest.raises(UsageError, match="another run is writing it"):
        RowFile(str(tmp_path / "rows"))
    first.close()
    RowFile(str(tmp_path / "rows")).close()


def test_a_place_that_cannot_be_written_says_so_at_once(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be written \(no such file or directory\)"):
        RowFile(str(tmp_path / "nowhere" / "rows"))
    with pytest.raises(UsageError, match=r"cannot be written \(is a directory\)"):
        RowFile(str(tmp_path))


WRITER = """
import sys
from captioner.pipelines.caption.outputs import CocoResults
from captioner.pipelines.gallery.pages import Gallery
from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.outputs import CsvRows, JsonRows, Outputs, Record

folder, count = sys.argv[1], int(sys.argv[2])
paths = [f"{number:012}.jpg" for number in range(count)]
outputs = Outputs([
    JsonRows(folder + "/rows.jsonl", overwrite=False),
    CsvRows(folder + "/rows.csv", ["path", "caption", "score"], overwrite=False),
    CocoResults(folder + "/rows.json", paths, None, overwrite=False),
    Gallery(folder + "/rows.html", "Photos", overwrite=False, page_bytes=60_000),
])
todo = [path for path in paths if outputs.done(path) is None]
for start in range(0, len(todo), 3):
    text = "Some words, \\"quoted\\",\\n" + "x" * 997
    outputs.write([Record(path, {"caption": text, "score": -0.5}) for path in todo[start : start + 3]])
outputs.close()
"""


def test_killed_again_and_again_every_row_is_there_once(tmp_path):
    count, kills = 300, 0
    rng = random.Random(1)
    command = [sys.executable, "-P", "-c", WRITER, str(tmp_path), str(count)]
    while kills < 12:
        process = subprocess.Popen(command)
        before = size_of(tmp_path)
        while process.poll() is None and size_of(tmp_path) == before:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.004)
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
    assert kills >= 3
    subprocess.run(command, check=True)

    numbers = list(range(count))
    expected = [f"{number:012}.jpg" for number in numbers]
    rows = [json.loads(line)["path"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert rows == expected
    import csv

    with open(tmp_path / "rows.csv", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == expected
    assert [row["image_id"] for row in json.loads((tmp_path / "rows.json").read_bytes())] == numbers
    pages = sorted(tmp_path.glob("rows*.html"), key=lambda page: (len(page.name), page.name))
    assert len(pages) > 3
    found = []
    for page in pages:
        text = page.read_text()
        found += [row["path"] for row in json.loads(text.partition('id="rows">')[2].partition("</script>")[0])]
    assert found == expected


def size_of(folder) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def test_what_a_killed_run_left_beside_a_file_is_used_up_by_the_next_write(tmp_path):
    program = (
        "import os, sys\n"
        "from captioner.pipelines.folder.row_file import replace_file\n"
        "def parts():\n"
        "    yield b'half'\n"
        "    os.kill(os.getpid(), 9)\n"
        "replace_file(sys.argv[1], parts())\n"
    )
    path = tmp_path / "a.txt"
    path.write_text("before")
    subprocess.run([sys.executable, "-c", program, path], check=False)
    assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2
    replace_file(str(path), [b"after"])
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_several_writers_of_one_file_leave_what_one_of_them_wrote(tmp_path):
    path = tmp_path / "a.txt"

    def write(letter):
        for _ in range(200):
            replace_file(str(path), [letter * 500, letter * 500])
            found = path.read_bytes()
            assert len(found) == 1000
            assert len(set(found)) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [b"a", b"b", b"c", b"d"]))
    assert list(tmp_path.iterdir()) == [path]
