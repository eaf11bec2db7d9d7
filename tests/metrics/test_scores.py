import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import DataError, UsageError
from captioner.metrics.scores import Scorer, score

# Captions with all kinds of oddities, and what pycocoevalcap 1.2 with Java makes of them.
OFFICIAL: dict[str, Any] = json.loads((Path(__file__).parent / "official.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", OFFICIAL)
def test_scores_equal_the_official_ones_in_total_and_for_each_image(name: str) -> None:
    case = OFFICIAL[name]
    found = score(case["captions"], case["references"])
    assert list(found.totals) == list(case["scores"])
    for metric, official in case["scores"].items():
        assert found.totals[metric] == pytest.approx(official["total"], abs=1e-12)
        assert found.per_image[metric] == pytest.approx(official["images"], abs=1e-12)


words = st.sampled_from(["a", "the", "dog", "dog", "cat", "runs", "1\xa01/2", "-lrb-", "&", "!!", "café"])
lines = st.lists(words, max_size=9).map(" ".join)


@settings(max_examples=60)
@given(st.lists(st.tuples(lines, st.lists(lines, min_size=1, max_size=4)), min_size=1, max_size=6))
def test_any_tokenised_captions_score_as_the_official_scorer_does(
    official: Callable[..., Any], pairs: list[tuple[str, list[str]]]
) -> None:
    captions = {image: line for image, (line, _) in enumerate(pairs)}
    references = {image: texts for image, (_, texts) in enumerate(pairs)}
    with pytest.MonkeyPatch.context() as patch:  # the lines are tokens already
        patch.setattr("captioner.text.ptb.tokenize_lines", list)
        found = score(captions, references)
    for metric, (total, images) in official(captions, references).items():
        assert found.totals[metric] == pytest.approx(total, abs=1e-9)
        assert found.per_image[metric] == pytest.approx(images, abs=1e-9)


@pytest.fixture(scope="module")
def official() -> Callable[..., Any]:
    """pycocoevalcap's scorers, which need no Java once captions are tokens."""
    pytest.importorskip("pycocoevalcap", reason="needs the extra captioner[java]")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    def score(captions: dict[int, str], references: dict[int, list[str]]) -> dict[str, Any]:
        results = {image: [line] for image, line in captions.items()}
        totals, images = Bleu(4).compute_score(references, results, verbose=0)
        scores = {f"Bleu_{n + 1}": (totals[n], images[n]) for n in range(4)}
        scores["ROUGE_L"] = Rouge().compute_score(references, results)
        if any(line.split() for texts in references.values() for line in texts):  # else it fails on an empty maximum
            scores["CIDEr"] = Cider().compute_score(references, results)
        return scores

    return score


def test_only_the_metrics_asked_for_are_computed() -> None:
    found = score({1: "a dog"}, {1: ["a dog runs"]}, ["rouge"])
    assert list(found.totals) == list(found.per_image) == ["ROUGE_L"]
    assert found.bleu_statistics is None


def test_a_scorer_scores_several_systems_as_if_each_came_alone() -> None:
    references = {1: ["a dog runs on grass"], 2: ["a cat sleeps in the sun", "the cat sleeps"]}
    scorer = Scorer(references)
    for captions in ({1: "a dog", 2: "a cat sleeps"}, {2: "the sun", 1: "a dog runs on grass"}):
        assert scorer.score(captions).totals == score(captions, references).totals


def test_images_without_caption_or_references_are_an_error() -> None:
    with pytest.raises(DataError, match="2 images have either no caption or no references"):
        score({1: "a", 2: "b"}, {2: ["b"], 3: ["c"]})
    with pytest.raises(DataError, match="1 images have no reference"):
        score({1: "a"}, {1: []})
    with pytest.raises(DataError, match="no images"):
        score({}, {})


def test_an_unknown_metric_is_named_with_the_choices() -> None:
    with pytest.raises(UsageError, match="unknown metric 'blue'; choose from bleu, rouge, cider, meteor, spice"):
        score({1: "a"}, {1: ["a"]}, ["blue"])


@given(st.dictionaries(st.integers(), st.text(max_size=40), min_size=1, max_size=4))
def test_any_text_has_scores_within_bounds(captions: dict[int, str]) -> None:
    found = score(captions, {image: [text, "a dog"] for image, text in captions.items()})
    for values in found.per_image.values():
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert (values <= 10 + 1e-9).all()
