import json

import pytest
from typer.testing import CliRunner

from captioner.errors import DataError, UsageError
from captioner.pipelines.cli import app
from captioner.pipelines.evaluate.options import EvaluateTextOptions
from captioner.pipelines.evaluate.text import evaluate_text

REFERENCE = [f"Ein Mann mit Hut Nummer {n} fährt heute mit dem Rad durch die Stadt ." for n in range(40)]
BETTER = [line.replace("heute", "gestern") if n % 4 == 0 else line for n, line in enumerate(REFERENCE)]
WORSE = [line.replace("dem Rad", "einem Auto") for line in REFERENCE]


@pytest.fixture
def texts(tmp_path):
    paths = {}
    for name, lines in {"ref": REFERENCE, "better": BETTER, "worse": WORSE}.items():
        paths[name] = tmp_path / f"{name}.de"
        paths[name].write_text("".join(f"{line}\n" for line in lines))
    return paths


def scores(texts, *arguments):
    result = CliRunner().invoke(app, ["evaluate-text", str(texts["ref"]), *map(str, arguments), "--json", "-"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_the_reference_itself_has_100(texts):
    found = scores(texts, texts["ref"])[str(texts["ref"])]
    assert found["BLEU"]["score"] == pytest.approx(100)
    assert found["chrF"]["score"] == pytest.approx(100)


def test_scores_and_signatures_are_those_of_sacrebleu(texts):
    from sacrebleu.metrics import BLEU, CHRF

    found = scores(texts, texts["better"], "--samples", "100")[str(texts["better"])]
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        theirs = metric.corpus_score(BETTER, [REFERENCE], n_bootstrap=100)
        assert found[name] == {
            "score": theirs.score,
            "half_width": float(theirs._ci),
            "signature": str(metric.get_signature()),
        }
    assert "tok:13a" in found["BLEU"]["signature"]
    assert "bs:100" in found["BLEU"]["signature"]


def test_a_second_system_is_tested_against_the_first(texts):
    found = scores(texts, texts["better"], "--compare", texts["worse"], "--samples", "200")
    assert "p_value" not in found[str(texts["better"])]["BLEU"]
    assert found[str(texts["worse"])]["BLEU"]["p_value"] < 0.05
    assert found[str(texts["worse"])]["chrF"]["score"] < found[str(texts["better"])]["chrF"]["score"]


def test_case_counts_unless_told_otherwise(texts):
    lower = texts["ref"].with_name("lower.de")
    lower.write_text(texts["ref"].read_text().lower())
    assert scores(texts, lower)[str(lower)]["BLEU"]["score"] < 90
    assert scores(texts, lower, "--lowercase")[str(lower)]["BLEU"]["score"] == pytest.approx(100)


def test_the_table_shows_both_metrics_and_signatures(texts):
    result = CliRunner().invoke(app, ["evaluate-text", str(texts["ref"]), str(texts["better"])])
    assert result.exit_code == 0
    assert "BLEU" in result.output
    assert "±" in result.output
    assert "nrefs:1" in result.output


def test_texts_of_different_lengths_are_an_error_with_both_counts(texts):
    short = texts["ref"].with_name("short.de")
    short.write_text("Ein Mann.\n")
    with pytest.raises(DataError, match=r"short\.de: has 1 lines, but .*ref\.de has 40"):
        evaluate_text(EvaluateTextOptions(reference=texts["ref"], hypothesis=short))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tokenize": "moses"}, "choose one of 13a"), ({"json": "/no/such/a.json"}, "there is no folder /no/such")],
)
def test_options_that_cannot_be_used_are_errors(texts, options, message):
    with pytest.raises(UsageError, match=message):
        evaluate_text(EvaluateTextOptions(reference=texts["ref"], hypothesis=texts["better"], samples=100, **options))


def test_a_system_is_not_compared_with_itself(texts):
    with pytest.raises(UsageError, match="the hypothesis itself"):
        evaluate_text(EvaluateTextOptions(reference=texts["ref"], hypothesis=texts["better"], compare=texts["better"]))


def test_equal_texts_of_two_systems_do_not_differ(texts):
    same = texts["ref"].with_name("same.de")
    same.write_text(texts["better"].read_text())
    found = scores(texts, texts["better"], "--compare", same, "--samples", "100")[str(same)]
    assert [found[metric]["p_value"] for metric in ("BLEU", "chrF")] == [1, 1]


def test_one_line_is_too_few_for_a_test(tmp_path):
    for name in ("ref", "one", "two"):
        (tmp_path / name).write_text(f"Ein Hund {name}.\n")
    options = {"reference": tmp_path / "ref", "hypothesis": tmp_path / "one", "compare": tmp_path / "two"}
    with pytest.raises(DataError, match="has one line, but a paired test draws among several"):
        evaluate_text(EvaluateTextOptions(**options))


def test_texts_that_share_no_words_in_some_samples_have_scores(tmp_path):
    lines = {
        "ref": "Two dogs play in the snow.\nA cat sleeps.\nA man rides.\n",
        "some": "Two dogs play in snow.\n\nA man.\n",
        "none": "x\ny\nz\n",
    }
    for name, text in lines.items():
        (tmp_path / name).write_text(text)
    texts = {name: tmp_path / name for name in lines}
    some, none = str(texts["some"]), str(texts["none"])
    alone = scores(texts, some)[some]
    assert alone["BLEU"]["score"] > 0
    assert alone["BLEU"]["half_width"] > 0
    assert scores(texts, none)[none]["BLEU"]["score"] == 0
    compared = scores(texts, some, "--compare", none)
    assert compared[some] == alone
    assert 0 < compared[none]["BLEU"]["p_value"] < 1


@pytest.mark.parametrize(
    "line",
    ['{{"caption": "{}"}}', "1\n00:00:01,000 --> 00:00:02,000\n{}\n", "WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n"],
)
def test_rows_and_subtitles_are_not_scored_as_sentences(tmp_path, line):
    (tmp_path / "a").write_text("".join(f"{line.format(each)}\n" for each in REFERENCE))
    with pytest.raises(DataError, match="a: is rows or subtitles, not a sentence a line"):
        evaluate_text(EvaluateTextOptions(reference=tmp_path / "a", hypothesis=tmp_path / "a"))


def test_empty_lines_of_the_reference_and_slipped_texts_are_told(tmp_path, capsys):
    lines = [f"{'ein Wort ' * (number * 7 % 11)}Mann." for number in range(60)]
    (tmp_path / "a").write_text("\n".join(["", *lines]))
    (tmp_path / "b").write_text("\n".join([*lines, "Ende."]))
    evaluate_text(EvaluateTextOptions(reference=tmp_path / "a", hypothesis=tmp_path / "b", samples=100))
    said = capsys.readouterr().err
    assert "a: 1 of 61 lines are empty" in said
    assert "b seem to have slipped: from line 1 on" in said
    evaluate_text(EvaluateTextOptions(reference=tmp_path / "b", hypothesis=tmp_path / "b", samples=100))
    assert capsys.readouterr().err == ""
