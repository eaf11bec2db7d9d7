import json

import pytest

from captioner.models.base import load
from captioner.pipelines import cli

CAPTIONS = {
    1: ["A dog runs on the grass.", "A dog sits."],
    2: ["A man in a red hat.", "The man's hat."],
    3: ["A cat sits on the grass.", "Two big cats."],
    4: ["Two men and a dog.", "Men sit on a hat."],
}


@pytest.fixture
def run(tmp_path, make_photos, model_folder, monkeypatch, capsys):
    """Runs `captioner evaluate --retrieval` on four photos; returns status, standard output and errors."""
    make_photos(5)
    annotations = {
        "images": [{"id": image, "file_name": f"photo{image:04}.jpg"} for image in CAPTIONS],
        "annotations": [
            {"id": 10 * image + number, "image_id": image, "caption": text}
            for image, texts in CAPTIONS.items()
            for number, text in enumerate(texts)
        ],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        options = ["-a", "annotations.json", "--retrieval", "--model", str(model_folder), *arguments]
        monkeypatch.setattr("sys.argv", ["captioner", "evaluate", *options])
        with pytest.raises(SystemExit) as found:
            cli.main()
        return found.value.code or 0, *capsys.readouterr()

    return run


def test_recalls_and_ranks_are_those_of_a_brute_force_search(run, model_folder, tmp_path):
    status, out, _ = run("--images", "photos", "--json", "-", "--quiet")
    assert status == 0
    report = json.loads(out)
    assert (report["images"], report["captions"]) == (4, 8)
    model = load(model_folder)
    texts = [text for texts in CAPTIONS.values() for text in texts]
    fits = model.rank([tmp_path / "photos" / f"photo{image:04}.jpg" for image in CAPTIONS], texts)
    ranks = []
    for place in range(8):
        order = sorted(range(4), key=lambda photo: -fits[photo, place])
        ranks.append(1 + order.index(place // 2))
    found = report["parts"]["careful"]["sentence to photo"]["totals"]
    assert found["R@1"] == pytest.approx(ranks.count(1) / 8)
    assert found["median rank"] == sorted(ranks)[3] / 2 + sorted(ranks)[4] / 2
    ranks = []
    for photo in range(4):
        order = sorted(range(8), key=lambda place: -fits[photo, place])
        ranks.append(1 + min(order.index(2 * photo), order.index(2 * photo + 1)))
    found = report["parts"]["careful"]["photo to sentence"]["totals"]
    assert found["R@1"] == pytest.approx(ranks.count(1) / 4)
    assert found["R@5"] == pytest.approx(sum(rank <= 5 for rank in ranks) / 4)


def test_a_table_shows_both_directions(run):
    status, out, _ = run("--images", "photos")
    assert status == 0
    assert "sentence to photo" in out
    assert "photo to sentence" in out
    assert "median rank" in out


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_ranked(run, tmp_path):
    (tmp_path / "photos" / "photo0002.jpg").write_bytes(b"no photo")
    status, out, err = run("--images", "photos", "--json", "-", "--quiet")
    assert status == 0
    assert "photo0002.jpg" in err
    assert json.loads(out)["images"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give their folder with --images"),
        (["--images", "photos", "--results", "r.json"], "leave --results out"),
        (["--images", "photos", "--output", "rows.jsonl"], "leave --output out"),
    ],
)
def test_what_retrieval_has_no_use_for_is_refused(run, arguments, message):
    status, _, err = run(*arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_report_that_cannot_be_written_is_one_sentence(run, tmp_path):
    (tmp_path / "folder.json").mkdir()
    status, _, err = run("--images", "photos", "--json", "folder.json", "--quiet")
    assert status == 2
    assert "folder.json: cannot be written" in err
    assert err.count("\n") == 1
