import importlib.util
import shutil

import pytest

from captioner.errors import UsageError
from captioner.metrics.scores import score


def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'meteor needs pycocoevalcap; get it with: pip install "captioner\[java\]"'):
        score({1: "a dog"}, {1: ["a dog"]}, ["meteor"])


def test_without_java_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="spice needs Java"):
        score({1: "a dog"}, {1: ["a dog"]}, ["spice"])


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None or shutil.which("java") is None,
    reason="needs the extra captioner[java] and Java",
)
def test_meteor_comes_from_the_official_program() -> None:
    found = score({1: "a dog runs", 2: "a cat"}, {1: ["a dog runs"], 2: ["the man on a bike"]}, ["meteor"])
    assert found.per_image["METEOR"][0] == pytest.approx(1)
    assert 0 < found.totals["METEOR"] < 1
