import json
import re
from pathlib import Path

import numpy as np
import pytest

from captioner.data.results import Annotations
from captioner.metrics.diversity import diversity
from captioner.metrics.scores import METRICS, Scorer
from captioner.metrics.significance import bootstrap, compare, interval
from captioner.pipelines.evaluate.report import SHOWN, Comparison, Report, signature

NASTY = "</script><b>&amp; <!--ROWS--> \u2028 'x' \"y\""


def report(
    captions: dict[int, str], *, metrics: tuple[str, ...] = METRICS, other: dict[int, str] | None = None
) -> Report:
    references = {image: [f"a dog number {image} runs", f"dog {image}", NASTY] for image in captions}
    annotations = Annotations(Path("gold.json"), references, {image: f"{image}{NASTY}.jpg" for image in captions})
    scorer = Scorer(references, metrics)
    scores = scorer.score(captions)
    comparison = None
    if other is not None:
        theirs = scorer.score(other)
        comparison = Comparison("other.json", theirs.totals, compare(scores, theirs))
    return Report(
        "found.json",
        captions,
        annotations,
        scores,
        {name: interval(totals) for name, totals in bootstrap(scores).items()},
        diversity(scores.lines),
        signature(scores, annotations),
        comparison,
    )


CAPTIONS = {image: f"a dog number {image if image % 3 else 0} runs" for image in range(40)}


def embedded(page: str, name: str) -> list:
    match = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_the_page_holds_every_image_with_its_scores_to_be_sorted() -> None:
    found = report(CAPTIONS)
    page = found.as_html({})
    assert embedded(page, "columns") == ["Bleu_4", "ROUGE_L", "CIDEr"]
    rows = embedded(page, "rows")
    assert [row[0] for row in rows] == list(CAPTIONS)
    assert rows[5][1:4] == [f"5{NASTY}.jpg", CAPTIONS[5], ["a dog number 5 runs", "dog 5", NASTY]]
    assert [row[6] for row in rows] == pytest.approx(found.scores.per_image["CIDEr"], abs=1e-4)


def test_nothing_that_a_caption_says_can_change_the_page() -> None:
    page = report({1: NASTY, 2: "a dog"}).as_html({})
    assert "<b>" not in page
    assert page.count("</script>") == page.count("<script") == 3
    assert page.count("<!--") == 0
    assert embedded(page, "rows")[0][2] == NASTY


def test_the_page_needs_no_network() -> None:
    page = report(CAPTIONS).as_html({})
    assert not re.search(r"https?://", page)
    assert "<link" not in page


def test_best_and_worst_images_are_ranked_by_cider_and_no_image_is_both() -> None:
    found = report(CAPTIONS)
    best, worst = found.remarkable
    scores = found.scores.per_image["CIDEr"]
    assert len(best) == len(worst) == SHOWN
    assert scores[best].min() >= scores[worst].max()
    assert not set(best) & set(worst)
    assert scores[best[0]] == scores.max()
    assert scores[worst[0]] == scores.min()


@pytest.mark.parametrize(("images", "shown"), [(1, (1, 0)), (2, (1, 1)), (5, (2, 2))])
def test_few_images_are_shown_once(images: int, shown: tuple[int, int]) -> None:
    best, worst = report({image: CAPTIONS[image] for image in range(images)}).remarkable
    assert (len(best), len(worst)) == shown
    assert not set(best) & set(worst)


def test_histograms_count_all_images() -> None:
    page = report(CAPTIONS).as_html({})
    figures = re.findall(r"<figure>.*?</figure>", page)
    assert len(figures) == 3
    for figure in figures:
        assert sum(map(int, re.findall(r": (\d+) images", figure))) == len(CAPTIONS)


def test_images_that_all_score_nothing_make_a_page_too() -> None:
    page = report(dict.fromkeys(range(3), "zebra")).as_html({})
    assert "nan" not in page.lower()


def test_a_score_that_does_not_exist_is_null() -> None:
    found = report(CAPTIONS, metrics=("rouge",))
    found.scores.per_image["ROUGE_L"][3] = np.nan
    found.scores.totals["ROUGE_L"] = float("nan")
    assert embedded(found.as_html({}), "rows")[3][4] is None
    assert found.as_json()["ROUGE_L"] is None


def test_pictures_are_part_of_the_page() -> None:
    page = report(CAPTIONS).as_html(dict.fromkeys(CAPTIONS, b"jpeg"))
    assert page.count('src="data:image/jpeg;base64,anBlZw=="') == 2 * SHOWN


def test_a_comparison_is_in_the_tables_and_the_json() -> None:
    found = report(CAPTIONS, other=dict.fromkeys(CAPTIONS, "a dog"))
    for shown in (found.as_html({}), json.dumps(found.as_json())):
        assert "other.json" in shown
    difference = found.as_json()["compare"]["differences"]["CIDEr"]
    assert difference["difference"] > 0
    assert np.isfinite(difference["p_value"])


def test_a_report_of_one_metric_ranks_by_it() -> None:
    found = report(CAPTIONS, metrics=("bleu",))
    assert "Best images by Bleu_4" in found.as_html({})
    assert found.signature.startswith("BLEU-4|tok:ptb-3.4.1|ref:closest|images:40|refs:3.0|v:")
    assert "|ref:" not in report(CAPTIONS, metrics=("cider",)).signature
