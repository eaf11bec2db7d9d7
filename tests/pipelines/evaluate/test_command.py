import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from captioner.metrics.scores import score
from captioner.pipelines import cli

CAPTIONS = {
    1: ["A brown dog runs across the grass.", "A dog is running on a lawn."],
    2: ["A man in a red hat rides a bike.", "The man's hat is red.", "A cyclist."],
    3: ["A cat sleeps <b>here</b>.", "The cat & the sun."],
    4: ["Two children by a pool.", "Children play near water."],
}
FOUND = {1: "A dog runs on the grass.", 2: "A man rides a bike.", 3: "A cat sleeps.", 4: "A dog runs on the grass."}


@dataclass
class Result:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `captioner evaluate` in a folder with annotations and results."""
    monkeypatch.chdir(tmp_path)
    write("annotations.json", annotations())
    write("results.json", results(FOUND))

    def run(*arguments: str) -> Result:
        options = [] if "-a" in arguments else ["-a", "annotations.json"]
        monkeypatch.setattr("sys.argv", ["captioner", "evaluate", *options, *arguments])
        with pytest.raises(SystemExit) as found:
            cli.main()
        return Result(int(found.value.code or 0), *capsys.readouterr())

    return run


def write(name: str, content: Any) -> None:
    Path(name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def annotations() -> dict[str, Any]:
    return {
        "images": [{"id": image, "file_name": f"photo{image:04}.jpg"} for image in CAPTIONS],
        "annotations": [
            {"id": 10 * image + number, "image_id": image, "caption": text}
            for image, texts in CAPTIONS.items()
            for number, text in enumerate(texts)
        ],
    }


def results(captions: dict[int, str]) -> list[dict[str, Any]]:
    return [{"image_id": image, "caption": text} for image, text in captions.items()]


def test_json_to_standard_output_is_only_json_and_equals_the_metrics(run: Run) -> None:
    found = run("-r", "results.json", "--json", "-")
    assert found.exit_code == 0
    report = json.loads(found.stdout)
    totals = score(FOUND, CAPTIONS).totals
    assert list(report)[:8] == ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr", "images", "signature"]
    assert {name: report[name] for name in totals} == totals
    assert report["images"] == 4
    assert re.fullmatch(
        r"BLEU-4\+ROUGE_L\+CIDEr\|tok:ptb-3\.4\.1\|ref:closest\|images:4\|refs:2\.2\|v:[\d.]+", report["signature"]
    )
    for name, (low, high) in report["intervals"].items():
        assert low <= report[name] <= high
    assert report["diversity"]["distinct_captions"] == 0.75


def test_the_table_has_every_score_its_interval_and_the_signature(run: Run) -> None:
    found = run("-r", "results.json")
    assert found.exit_code == 0
    for word in ("Bleu_1", "ROUGE_L", "CIDEr", " to ", "different words", "|images:4|"):
        assert word in found.stdout


def test_json_goes_to_a_file_and_quiet_leaves_the_table_out(run: Run) -> None:
    found = run("-r", "results.json", "--json", "scores.json", "-q", "--metrics", "rouge")
    assert found.stdout == ""
    assert [name for name in json.loads(Path("scores.json").read_text()) if name[0].isupper()] == ["ROUGE_L"]


def test_another_system_is_compared_on_the_same_images(run: Run) -> None:
    write("other.json", results({**FOUND, 1: "A car.", 2: "A tree."}))
    report = json.loads(run("-r", "results.json", "--compare", "other.json", "--json", "-").stdout)["compare"]
    assert report["results"] == "other.json"
    for name, found in report["differences"].items():
        assert found["difference"] > 0
        assert 0 < found["p_value"] <= 1
        assert found["interval"][0] <= found["interval"][1]
        assert name in report["totals"]
    assert "difference" in run("-r", "results.json", "--compare", "other.json").stdout


def test_missing_images_are_an_error_and_when_allowed_part_of_the_signature(run: Run) -> None:
    write("results.json", results({2: FOUND[2], 3: FOUND[3]}))
    found = run("-r", "results.json")
    assert found.exit_code == 2
    assert "no caption for 2 images (1, 4) of 4" in found.stderr
    report = json.loads(run("-r", "results.json", "--allow-missing", "--json", "-").stdout)
    assert "|images:2|refs:2.5|missing:2|" in report["signature"]
    assert (report["images"], report["missing"]) == (2, 2)
    assert report["CIDEr"] == score({2: FOUND[2], 3: FOUND[3]}, {k: CAPTIONS[k] for k in (2, 3)}).totals["CIDEr"]


def test_comparison_with_missing_images_is_over_the_common_ones(run: Run) -> None:
    write("results.json", results({1: FOUND[1], 2: FOUND[2]}))
    write("other.json", results({2: FOUND[2], 3: FOUND[3]}))
    report = json.loads(run("-r", "results.json", "--compare", "other.json", "--allow-missing", "--json", "-").stdout)
    assert (report["images"], report["missing"]) == (1, 3)
    assert report["compare"]["differences"]["ROUGE_L"] == {"difference": 0, "interval": [0, 0], "p_value": 1}


def test_karpathy_files_are_scored_by_split_with_copies_of_training_captions_counted(run: Run) -> None:
    entries = [
        {"filename": f"{image}.jpg", "cocoid": image, "split": "test" if image < 3 else "train"}
        | {"sentences": [{"raw": text} for text in texts]}
        for image, texts in CAPTIONS.items()
    ]
    write("karpathy.json", {"images": entries})
    write("results.json", results({1: CAPTIONS[3][1], 2: FOUND[2]}))
    report = json.loads(run("-a", "karpathy.json", "-r", "results.json", "--json", "-").stdout)
    assert "|split:test|" in report["signature"]
    assert report["diversity"]["in_training"] == 0.5


def test_training_captions_may_be_given_apart(run: Run) -> None:
    write("training.json", {**annotations(), "annotations": [{"id": 1, "image_id": 1, "caption": "a cat sleeps"}]})
    report = json.loads(run("-r", "results.json", "--training", "training.json", "--json", "-").stdout)
    assert report["diversity"]["in_training"] == 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --results FILE to score captions, or --images FOLDER"),
        (["-r", "nothing.json"], "nothing.json: cannot be read"),
        (["-r", "annotations.json"], "annotations, not results"),
        (["-r", "results.json", "-o", "x.jsonl"], "--output keeps the captions of --images"),
        (["--images", ".", "-o", "x.csv"], "x.csv: --output keeps rows; call it captions.jsonl"),
        (["--images", ".", "-o", "metadata.jsonl"], "metadata.jsonl: --output keeps rows"),
        (["-r", "results.json", "--metrics", "bleu,ciderr"], "unknown metric 'ciderr'"),
        (["-r", "results.json", "--html", "none/report.html"], "there is no folder none to write to"),
        (["-r", "results.json", "--images", "none"], "none: there is no such folder of images"),
        (["-r", "results.json", "--split", "test"], "COCO captions without splits"),
        (["-a", "results.json", "-r", "results.json"], "a list, as COCO results are"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(run: Run, arguments: list[str], message: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
    assert found.stdout == ""


def test_cut_annotations_are_one_sentence(run: Run) -> None:
    write("annotations.json", json.dumps(annotations())[:200])
    found = run("-r", "results.json")
    assert found.exit_code == 2
    assert "annotations.json: not JSON, or cut short" in found.stderr


def test_photos_are_captioned_scored_and_not_captioned_again(
    run: Run, make_photos: Callable[..., Path], model_folder: Path
) -> None:
    make_photos(5)  # photo0001 to photo0004 are annotated
    arguments = ["--images", "photos", "--model", str(model_folder), "-o", "captions.jsonl", "--json", "-"]
    report = json.loads(run(*arguments).stdout)
    rows = [json.loads(line) for line in Path("captions.jsonl").read_text().splitlines()]
    captions = {int(row["path"][-8:-4]): row["caption"] for row in rows}
    assert report["Bleu_1"] == score(captions, CAPTIONS).totals["Bleu_1"]
    write("captions.jsonl", "".join(json.dumps({**row, "caption": "a dog"}) + "\n" for row in rows))
    again = json.loads(run(*arguments).stdout)
    assert again["Bleu_1"] == score(dict.fromkeys(CAPTIONS, "a dog"), CAPTIONS).totals["Bleu_1"]


def test_photos_that_failed_are_tried_again_where_that_is_asked_and_the_others_are_kept(
    run: Run, make_photos: Callable[..., Path], model_folder: Path
) -> None:
    folder = make_photos(5)
    whole = (folder / "photo0002.jpg").read_bytes()
    (folder / "photo0002.jpg").write_bytes(b"not a photo")
    arguments = ["--images", "photos", "--model", str(model_folder), "-o", "captions.jsonl", "--json", "-"]
    assert run(*arguments, "--allow-missing").exit_code == 0
    first = [json.loads(line) for line in Path("captions.jsonl").read_text().splitlines()]
    assert [row["path"] for row in first if "error" in row] == ["photos/photo0002.jpg"]
    (folder / "photo0002.jpg").write_bytes(whole)
    report = json.loads(run(*arguments, "--retry").stdout)
    assert report["images"] == 4
    rows = [json.loads(line) for line in Path("captions.jsonl").read_text().splitlines()]
    kept = [row for row in rows if row["path"] != "photos/photo0002.jpg"]
    assert kept == [row for row in first if "error" not in row]
    assert sum(row["path"] == "photos/photo0002.jpg" for row in rows) == 1


def test_captions_of_another_weight_of_the_language_model_are_not_taken_for_these(
    run: Run, make_photos: Callable[..., Path], model_folder: Path
) -> None:
    make_photos(5)
    arguments = ["--images", "photos", "--model", str(model_folder), "--lm", "captions", "-q"]
    for weight in ([], ["--lm-weight", "0"]):
        assert run(*arguments, *weight).exit_code == 0
    assert len(list(Path().glob("*.jsonl"))) == 2


def test_captions_are_kept_by_model_when_no_output_is_named(
    run: Run, make_photos: Callable[..., Path], model_folder: Path
) -> None:
    make_photos(5)
    shutil.copytree(model_folder, "tiny")
    assert run("--images", "photos", "--model", "tiny", "-q").exit_code == 0
    assert [path.name[: -len("-12345678.jsonl")] for path in Path().glob("*.jsonl")] == ["annotations-tiny"]
    config = json.loads(Path("tiny/config.json").read_text())
    Path("tiny/config.json").write_text(json.dumps(config | {"search": {"beam_size": 1}}))  # the same weights
    assert run("--images", "photos", "--model", "tiny", "-q").exit_code == 0
    assert len(list(Path().glob("*.jsonl"))) == 2


def test_photos_that_are_not_there_are_named(run: Run, make_photos: Callable[..., Path], model_folder: Path) -> None:
    make_photos(3)
    found = run("--images", "photos", "--model", str(model_folder), "-o", "captions.jsonl")
    assert found.exit_code == 2
    assert "photos: 2 images (3, 4) of 4 not found, such as photo0003.jpg" in found.stderr
    found = run("--images", "photos", "--model", str(model_folder), "-o", "captions.jsonl", "--allow-missing")
    assert found.exit_code == 0
    assert "|missing:2|" in found.stdout


def test_the_report_is_one_page_with_pictures_of_the_best_and_worst(run: Run, make_photos: Callable[..., Path]) -> None:
    make_photos(5)
    found = run("-r", "results.json", "--images", "photos", "--html", "report.html")
    assert found.exit_code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg;base64,') == 4
    assert 'src="http' not in page
    assert "href=" not in page


def test_images_may_be_known_by_texts_and_results_be_of_any_form(run: Run) -> None:
    content = annotations()
    for image in content["images"]:
        image["id"] = f"<{image['id']}>"
    for annotation in content["annotations"]:
        annotation["image_id"] = f"<{annotation['image_id']}>"
    write("named.json", content)
    write("named_results.json", [{"image_id": f"<{image}>", "caption": text} for image, text in FOUND.items()])
    write("rows.csv", "path,caption\n" + "".join(f"P/photo{image:04}.jpg,{text}\n" for image, text in FOUND.items()))
    totals = score(FOUND, CAPTIONS).totals
    for results_of in ("named_results.json", "rows.csv"):
        report = json.loads(run("-a", "named.json", "-r", results_of, "--json", "-", "--html", "report.html").stdout)
        assert {name: report[name] for name in totals} == totals
        page = Path("report.html").read_text(encoding="utf-8")
        assert "image &lt;1&gt;" in page
        assert "<1>" not in page


def test_captions_of_other_languages_are_scored_on_their_own_tokens_and_the_signature_says_so(run: Run) -> None:
    texts = {1: "一只狗在草地上奔跑。", 2: "一个人在骑自行车。", 3: "猫睡在床上。"}
    content = annotations()
    content["images"] = content["images"][:3]
    content["annotations"] = [{"id": image, "image_id": image, "caption": text} for image, text in texts.items()]
    write("chinese.json", content)
    write("found.json", results({1: "一只狗在草地上跑", 2: "一个人骑自行车", 3: "猫睡在床上"}))
    whole = json.loads(run("-a", "chinese.json", "-r", "found.json", "--json", "-").stdout)
    assert "|tok:ptb-3.4.1|" in whole["signature"]
    assert whole["remarks"][-1].startswith("Captions without spaces between words are one token each; --tokens unicode")
    cut = json.loads(run("-a", "chinese.json", "-r", "found.json", "--tokens", "unicode", "--json", "-").stdout)
    assert "|tok:unicode-1|" in cut["signature"]
    assert cut["Bleu_4"] > 0.5 > whole["Bleu_4"]
    assert "remarks" not in cut
    found = run("-a", "chinese.json", "-r", "found.json", "--tokens", "jieba")
    assert found.exit_code == 2
    assert "--tokens jieba: choose ptb, unicode, unicode-cased" in found.stderr


def test_photos_of_equal_names_are_known_by_their_folders_and_missing_ones_are_named(
    run: Run, make_photos: Callable[..., Path], model_folder: Path
) -> None:
    Path("photos").mkdir()
    make_photos(2, "photos/2019", "IMG_{}.jpg")
    names = [f"{year}/IMG_{number}.jpg" for year in (2019, 2021) for number in (0, 1)]
    write(
        "annotations.json",
        {
            "images": [{"id": image, "file_name": name} for image, name in enumerate(names)],
            "annotations": [{"id": image, "image_id": image, "caption": "A dog."} for image in range(4)],
        },
    )
    found = run("--images", "photos", "--model", str(model_folder))
    assert found.exit_code == 2
    assert "2 images (2, 3) of 4 not found, such as 2021/IMG_0.jpg and 2021/IMG_1.jpg" in found.stderr


def test_photos_outside_the_folder_are_not_read(run: Run, make_photos: Callable[..., Path], model_folder: Path) -> None:
    make_photos(1, "private", "photo0001.jpg")
    make_photos(1, "photos", "other.jpg")
    content = annotations()
    for image in content["images"]:
        image["file_name"] = f"../private/photo{image['id']:04}.jpg"
    write("annotations.json", content)
    found = run("--images", "photos", "--model", str(model_folder))
    assert "photos: none of the 4 annotated photos is here" in found.stderr


def test_scores_that_are_0_by_definition_say_why(run: Run) -> None:
    write("results.json", results({1: "Dog."}))
    report = json.loads(run("-r", "results.json", "--allow-missing", "--json", "-").stdout)
    assert (report["CIDEr"], round(report["Bleu_4"], 6)) == (0, 0)
    assert report["remarks"][0].startswith("CIDEr of one image is 0 by definition")
    assert report["remarks"][1] == "BLEU-2 and above are 0: no caption has more than 1 words."
    assert "CIDEr of one image is 0" in run("-r", "results.json", "--allow-missing").stdout
    assert "remarks" not in json.loads(
        run(
            "-r", "results.json", "--compare", "results.json", "--json", "-", "--allow-missing", "--metrics", "rouge"
        ).stdout
    )
