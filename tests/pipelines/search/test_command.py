import csv
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import cv2
import numpy as np
import pytest
from filelock import FileLock

from captioner.models.base import load


def names(rows):
    return {os.path.basename(row["path"]) for row in rows}


def test_photos_are_found_best_first_and_an_index_is_kept(run, make_photos):
    make_photos(6)
    status, rows, err = run("a dog on the grass", "photos", "--top", "4")
    assert status == 0
    assert len(rows) == 4
    assert rows == sorted(rows, key=lambda row: -row["score"])
    assert all(row["caption"].endswith(".") for row in rows)
    assert "6 images or clips done" in err
    again, same, err = run("a dog on the grass", "photos", "--top", "4")
    assert (again, same) == (0, rows)
    assert err == ""  # nothing was new


def test_the_order_is_that_of_both_parts_together(run, make_photos, finder_folder):
    from captioner.models.search import Finder
    from captioner.models.search_config import encode_sentence

    photos = sorted(make_photos(6).iterdir())
    _, rows, _ = run("two men and a red hat", "photos")
    model = load(finder_folder)
    finder = Finder.load(finder_folder, model)
    ids = encode_sentence("two men and a red hat", model.vocabulary)
    pixels = np.stack([model.transform(cv2.imread(str(photo))[..., ::-1]) for photo in photos])
    seen = finder.look(model.encode(pixels))
    cosines = (seen.vectors @ finder.read([ids]).T)[:, 0].numpy()
    wanted = (finder.careful(seen.prepared, [ids])[:, 0].numpy() + finder.config.cosine_weight * cosines) / 7
    found = {os.path.basename(row["path"]): row["score"] for row in rows}
    for photo, score in zip(photos, wanted, strict=True):
        assert found[photo.name] == pytest.approx(score, abs=0.1)  # photos are kept in four bits a value


def test_new_changed_moved_and_gone_photos_bring_the_index_up_to_date(run, make_photos, tmp_path):
    folder = make_photos(5)
    run("a dog", "photos")
    (folder / "photo0000.jpg").unlink()
    (folder / "sub").mkdir()
    shutil.move(folder / "photo0001.jpg", folder / "sub" / "moved.jpg")
    shutil.copy(folder / "photo0003.jpg", folder / "photo0002.jpg")
    shutil.copy(folder / "photo0004.jpg", folder / "new.jpg")
    status, rows, err = run("a dog", "photos")
    assert status == 0
    assert names(rows) == {"moved.jpg", "photo0002.jpg", "photo0003.jpg", "photo0004.jpg", "new.jpg"}
    assert "2 images or clips done" in err  # the new one and the changed one
    assert "1 had changed" in err
    scores = {os.path.basename(row["path"]): row["score"] for row in rows}
    assert scores["photo0002.jpg"] == scores["photo0003.jpg"]


def test_a_bad_photo_fails_alone_and_is_tried_again_only_when_asked(run, make_photos):
    folder = make_photos(3)
    (folder / "photo0001.jpg").write_bytes(b"no photo")
    status, rows, err = run("a cat", "photos")
    assert status == 1
    assert names(rows) == {"photo0000.jpg", "photo0002.jpg"}
    assert "1 failed" in err
    status, rows, err = run("a cat", "photos")
    assert (status, "1 could not be read before" in err) == (1, True)
    assert "1 failed" in run("a cat", "photos", "--retry")[2]


def test_a_clip_gives_moments_and_neighbours_that_fit_alike_are_one(run, draw_clip, tmp_path):
    draw_clip(tmp_path / "clip.avi", frames=60)
    status, rows, _ = run("a red hat", "clip.avi", "--every", "1")
    assert status == 0
    spans = sorted((row["start"], row["end"]) for row in rows)
    assert spans[0][0] == 0
    assert spans[-1][1] == pytest.approx(6, abs=0.3)
    assert all(before[1] <= after[0] + 1e-3 for before, after in itertools.pairwise(spans))


def test_what_resembles_a_photo_is_found_without_the_photo_itself(run, make_photos):
    folder = make_photos(4)
    shutil.copy(folder / "photo0002.jpg", folder / "copy.jpg")
    status, rows, _ = run("photos", "--like", "photos/photo0002.jpg", "--top", "2")
    assert status == 0
    assert os.path.basename(rows[0]["path"]) == "copy.jpg"
    assert rows[0]["score"] == pytest.approx(1, abs=1e-2)
    shutil.move(folder / "copy.jpg", folder.parent / "outside.jpg")
    status, rows, _ = run("photos", "--like", "outside.jpg", "--top", "1")
    assert os.path.basename(rows[0]["path"]) == "photo0002.jpg"


def test_what_resembles_a_clip_is_found_without_its_own_moments(run, make_photos, tmp_path, monkeypatch):
    # a network with random weights would take all moments for one
    monkeypatch.setattr("captioner.pipelines.search.find._FITS", 1.0)
    make_photos(2)
    clip = cv2.VideoWriter(str(tmp_path / "photos" / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    draw = np.random.default_rng(0)
    for _ in range(6):
        picture = draw.integers(0, 256, (64, 96, 3), np.uint8)
        for _ in range(10):
            clip.write(picture)
    clip.release()
    _, rows, _ = run("photos", "--like", "photos/photo0000.jpg", "--every", "1")
    assert len(rows) > 3
    _, rows, _ = run("photos", "--like", "photos/clip.avi", "--every", "1", "--top", "2")
    assert names(rows) == {"photo0000.jpg", "photo0001.jpg"}


def test_several_queries_come_from_a_file_or_one_by_one(run, make_photos, tmp_path):
    make_photos(2)
    (tmp_path / "asked.txt").write_text("a dog\n\na red hat\n")
    status, rows, _ = run("photos", "--queries", "asked.txt", "--top", "1")
    assert status == 0
    assert [row["query"] for row in rows] == ["a dog", "a red hat"]
    status, typed, err = run("photos", "--queries", "-", "--top", "1", typed="a dog\n...\na red hat\n")
    assert (status, typed) == (0, rows)
    assert "the query is empty" in err


def test_a_query_that_cannot_be_answered_does_not_lose_the_others(run, make_photos, tmp_path):
    make_photos(2)
    (tmp_path / "asked.txt").write_text("a dog\nzebra\na red hat\n")
    status, rows, err = run("photos", "--queries", "asked.txt", "--top", "1")
    assert (status, [row["query"] for row in rows]) == (1, ["a dog", "a red hat"])
    assert "'zebra': 'zebra' is no word that this model knows" in err
    (tmp_path / "asked.txt").write_text("zebra\ngiraffe\n")
    status, rows, err = run("photos", "--queries", "asked.txt")
    assert (status, rows) == (2, [])
    assert "none of the 2 queries can be answered: 'zebra':" in err


def test_answers_go_to_files_which_are_not_overwritten_unasked(run, make_photos, tmp_path):
    make_photos(3)
    files = ["-o", "found.jsonl", "-o", "found.csv", "-o", "found.html"]
    status, rows, _ = run("a dog on the grass", "photos", *files)
    assert (status, rows) == (0, [])
    assert len((tmp_path / "found.jsonl").read_text().splitlines()) == 3
    with open(tmp_path / "found.csv", newline="") as file:
        assert [row["query"] for row in csv.DictReader(file)] == ["a dog on the grass"] * 3
    page = (tmp_path / "found.html").read_text()
    assert page.count('"attention"') == 3
    assert "A dog on the grass." in page
    status, _, err = run("a cat", "photos", "-o", "found.csv")
    assert status == 2
    assert "is there already" in err
    status, _, err = run("a cat", "photos", "-o", "found.csv", "--overwrite")
    assert (status, err) == (0, "")  # no photo is looked at again
    status, _, err = run("a cat", "photos", "--overwrite")
    assert status == 0
    assert err.startswith("3 images or clips done")


def test_a_photo_to_compare_with_that_has_changed_is_looked_at_again(run, make_photos, tmp_path):
    photos = sorted(make_photos(4).iterdir())
    shutil.copy(photos[0], tmp_path / "like.jpg")  # it is none of the inputs
    _, rows, _ = run("photos", "--like", "like.jpg", "--top", "1")
    assert names(rows) == {"photo0000.jpg"}
    shutil.copy(photos[2], tmp_path / "like.jpg")
    _, rows, _ = run("photos", "--like", "like.jpg", "--top", "1")
    assert names(rows) == {"photo0002.jpg"}
    (tmp_path / "like.jpg").write_bytes(b"no photo")
    status, rows, err = run("photos", "--like", "like.jpg")
    assert (status, rows) == (2, [])
    assert err.endswith("--like like.jpg: cannot be read as a photo.\n")


def test_an_index_in_a_folder_that_is_not_there_is_refused(run, make_photos, tmp_path):
    make_photos(1)
    status, rows, err = run("a dog", "photos", "--index", "nowhere/my.index")
    assert (status, rows) == (2, [])
    assert (
        err
        == f"captioner: nowhere/my.index: there is no folder {tmp_path}/nowhere; make it, or choose another --index.\n"
    )
    assert not (tmp_path / "nowhere").exists()


def test_an_index_of_another_model_or_a_damaged_one_is_built_anew(run, make_photos, model_folder, tmp_path):
    make_photos(2)
    run("a dog", "photos", "--index", "my.index")
    status, rows, err = run("a dog", "photos", "--index", "my.index", model=model_folder)
    assert (status, len(rows)) == (0, 2)
    assert "was built with another model or other options, so it is built anew" in err
    assert "has no search.json" in err
    content = (tmp_path / "my.index").read_bytes()
    (tmp_path / "my.index").write_bytes(content[:3000] + b"damage" * 4000)
    status, rows, err = run("a dog", "photos", "--index", "my.index")
    assert (status, len(rows)) == (0, 2)
    assert "my.index: is damaged, so it is built anew" in err


def test_a_file_that_is_no_index_is_left_alone(run, make_photos, tmp_path):
    make_photos(1)
    (tmp_path / "notes.txt").write_text("My notes, " * 100)
    status, _, err = run("a dog", "photos", "--index", "notes.txt")
    assert (status, err.count("\n")) == (2, 1)
    assert "is no index of a search" in err
    assert (tmp_path / "notes.txt").read_text().startswith("My notes")
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_database_of_another_program_and_a_folder_are_left_alone(run, make_photos, tmp_path, overwrite):
    make_photos(1)
    with closing(sqlite3.connect(tmp_path / "notes.db")) as notes:
        notes.execute("CREATE TABLE notes (text)")
    before = (tmp_path / "notes.db").read_bytes()
    status, _, err = run("a dog", "photos", "--index", "notes.db", *overwrite)
    assert (status, err) == (2, "captioner: notes.db: is a database of another program; choose another --index.\n")
    assert (tmp_path / "notes.db").read_bytes() == before
    status, _, err = run("a dog", "photos", "--index", "photos", *overwrite)
    assert (status, err) == (2, "captioner: photos: cannot be read (is a directory); choose another --index.\n")
    assert not list(tmp_path.glob("*.lock"))


def test_a_second_process_waits_for_the_one_that_builds(run, make_photos, tmp_path):
    make_photos(2)
    held = threading.Event()

    def build():
        with FileLock(tmp_path / "my.index.lock"):
            held.set()
            time.sleep(0.5)

    thread = threading.Thread(target=build)
    thread.start()
    held.wait()
    status, rows, err = run("a dog", "photos", "--index", "my.index")
    thread.join()
    assert (status, len(rows)) == (0, 2)
    assert "another process is building my.index; waiting for it" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["...", "photos"], "the query is empty"),
        (["zebra", "photos"], "'zebra' is no word that this model knows"),
        (["ein Hund auf dem Gras", "photos"], "is German, and this model reads English"),
        (["a dog"], "give a sentence and where to search"),
        (["a dog", "empty"], "no images or clips here"),
        (["a dog", "photos", "--every", "0"], "--every is 0"),
        (["photos", "--like", "nowhere.jpg"], "there is no such photo"),
        (["photos", "--queries", "nowhere.txt"], "cannot be read"),
        (["a dog", "photos", "-o", "found.xml"], "ends in one of .jsonl .csv .html"),
    ],
)
def test_wrong_usage_is_one_sentence(run, make_photos, tmp_path, arguments, message):
    make_photos(1)
    (tmp_path / "empty").mkdir()
    status, rows, err = run(*arguments)
    assert (status, rows) == (2, [])
    assert message in err
    assert err.count("\n") == 1


def test_words_that_the_model_does_not_know_are_named_with_near_ones(run, make_photos):
    make_photos(1)
    status, rows, err = run("a dog on the gras", "photos", "--quiet")
    assert (status, len(rows)) == (0, 1)
    assert "'gras' is no word that this model knows (near ones for 'gras': grass)" in err


def test_a_query_in_another_language_is_translated_where_there_is_a_translator(
    run, make_photos, make_translator, tmp_path
):
    make_photos(1)
    translator = make_translator()
    translator.config = translator.config.model_copy(update={"source": "de", "target": "en"})
    translator.translate = None  # what it says is checked where it is loaded
    translator.save(tmp_path / "de-en", "A translator with random weights.")
    status, _, err = run("ein Hund und eine Katze", "photos", "--translator", str(tmp_path / "de-en"))
    assert "is German; searched for" in err or "knows; say it in other" in err or "is empty" in err
    assert status in (0, 2)


def test_an_index_that_is_up_to_date_is_searched_without_pytorch(run, make_photos, finder_folder, tmp_path):
    make_photos(2)
    run("a dog", "photos", "--index", "my.index")
    code = (
        "import sys; from captioner.applications import run_command; "
        f"run_command('search', inputs=['a dog', 'photos'], index='my.index', model={str(finder_folder)!r}); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(b"\n") == 2


def test_signs_and_words_beyond_the_longest_sentence_are_told_or_passed_over(run, make_photos):
    make_photos(2)
    _, plain, _ = run("a dog", "photos")
    _, loud, err = run("a dog !!!!", "photos")
    assert [row["score"] for row in loud] == [row["score"] for row in plain]
    assert err == ""
    _, _, err = run("a dog on the grass " * 20, "photos")
    assert "has 100 words, of which the first 60 are searched for" in err


def test_a_file_that_failed_before_is_named_again_where_nothing_is_new(run, make_photos):
    (make_photos(2) / "photo0001.jpg").write_bytes(b"no photo")
    assert run("a dog", "photos")[0] == 1
    status, rows, err = run("a dog", "photos")
    assert (status, len(rows)) == (1, 1)
    assert "1 could not be read before, such as photos/photo0001.jpg; --retry tries again" in err


def test_a_faulty_archive_is_a_failure_again_where_nothing_is_new(run, make_photos, tmp_path):
    make_photos(1)
    (tmp_path / "trip.zip").write_bytes(b"PK no archive")
    assert run("a dog", "photos", "trip.zip")[0] == 1
    status, rows, err = run("a dog", "photos", "trip.zip")
    assert (status, len(rows)) == (1, 1)
    assert "1 could not be read before, such as trip.zip" in err


def test_queries_may_be_written_as_windows_writes_unicode(run, make_photos, tmp_path):
    make_photos(2)
    (tmp_path / "asked.txt").write_bytes("a dog\r\na cat\r\n".encode("utf-16"))
    status, rows, _ = run("--queries", "asked.txt", "photos", "--top", "1")
    assert (status, [row["query"] for row in rows]) == (0, ["a dog", "a cat"])
