"""`captioner caption --concepts`: words with probabilities in every output."""

import csv
import json

import pytest
from typer.testing import CliRunner

from captioner.pipelines.cli import app


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("concepts")
    names = ["a.jsonl", "a.csv", "a.html"]
    arguments = [part for name in names for part in ("-o", str(folder / name))]
    assert CliRunner().invoke(app, ["caption", "examples/photos/cat.jpg", "--concepts", *arguments]).exit_code == 0
    return folder


def test_rows_list_the_words_that_a_photo_shows_the_likeliest_first(outputs):
    row = json.loads((outputs / "a.jsonl").read_text())
    concepts = row["concepts"]
    assert concepts[0]["concept"] == "cat"
    probabilities = [each["probability"] for each in concepts]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0.1 <= probabilities[-1] <= probabilities[0] <= 1
    assert len(concepts) <= 10


def test_a_table_has_a_column_for_each(outputs):
    with (outputs / "a.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["concept"] == "cat"
    assert float(row["probability"]) > float(row["probability_2"])
    assert "concept_10" in row


def test_the_gallery_has_them_too(outputs):
    assert '"concept": "cat"' in (outputs / "a.html").read_text().replace('"concept":"cat"', '"concept": "cat"')


def test_a_file_of_rows_without_words_is_not_continued_with_them(caption, tmp_path):
    output = tmp_path / "a.jsonl"
    assert caption("examples/photos/cat.jpg", "-o", output, model="photos")[0] == 0
    status, _, err = caption("examples/photos/cat.jpg", "-o", output, "--concepts", model="photos")
    assert status == 2
    assert "--overwrite" in err


def test_a_model_that_tells_none_is_one_sentence(caption):
    status, _, err = caption("examples/photos/cat.jpg", "--concepts")
    assert status == 2
    assert "this model tells no concept words; take photos" in err
