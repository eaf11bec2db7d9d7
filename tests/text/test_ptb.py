import gzip
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.data.caption_forms.json_files import read_json, read_karpathy
from captioner.text import ptb

GOLDEN = Path(__file__).parent / "ptb_golden.tsv"  # made with the official scorer's own tokenizer, as one file


def golden() -> list[list[str]]:
    """Captions, their official lines, and the official lines of those lines."""
    rows = [line.split("\t") for line in GOLDEN.read_text(encoding="utf-8").split("\n")[:-1]]
    return [[field.replace("\\t", "\t") for field in row] for row in rows]


def test_hard_captions_give_the_official_tokens_line_by_line() -> None:
    captions, lines, _ = zip(*golden(), strict=True)
    assert ptb.tokenize_lines(captions) == list(lines)


def test_tokens_are_tokenised_again_as_the_official_ones_are() -> None:
    _, lines, again = zip(*golden(), strict=True)
    assert ptb.tokenize_lines(lines) == list(again)


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man's hat (red), A&amp;M style.", ["a", "man", "'s", "hat", "-lrb-", "red", "-rrb-", "a&m", "style"]),
        ("They can't stop...", ["they", "ca", "n't", "stop"]),
        ("No. 5 at 3:30pm on Main St.", ["no.", "5", "at", "3:30", "pm", "on", "main", "st."]),
        ("a road.A car", ["a", "road.a", "car"]),
        ("", []),
        (" .\n", []),
    ],
)
def test_tokens_of_a_caption(caption: str, tokens: list[str]) -> None:
    assert ptb.tokenize(caption) == tokens


def test_a_mixed_number_is_one_word_of_the_line_and_two_tokens() -> None:
    assert ptb.tokenize_line("1 1/2 cakes") == "1\u00a01/2 cakes"
    assert ptb.tokenize("1 1/2 cakes") == ["1", "1/2", "cakes"]


def test_a_last_letter_loses_its_full_stop_only_before_a_new_sentence() -> None:
    assert ptb.tokenize_line("the letter P.", "A man stands.") == "the letter p"
    assert ptb.tokenize_line("the letter P.", "men stand.") == "the letter p."
    assert ptb.tokenize_line("the letter P.") == "the letter p."


@given(st.text())
def test_any_text_gives_tokens_without_white_space_and_in_lower_case(text: str) -> None:
    for token in ptb.tokenize(text):
        assert token
        assert not any(map(str.isspace, token))
        assert token not in ptb.PUNCTUATION
        assert token == token.lower() or not token.isascii()


def test_no_captions_give_no_lines() -> None:
    assert ptb.tokenize_lines([]) == []


@given(st.lists(st.from_regex(r"[A-Za-z]{2,8}('s|n't|[.,;!?])?", fullmatch=True), max_size=12))
def test_plain_tokens_are_tokens_again(words: list[str]) -> None:
    tokens = ptb.tokenize(" ".join(words))
    assert ptb.tokenize(" ".join(tokens)) == tokens


@pytest.mark.shared
@pytest.mark.slow
def test_no_real_caption_has_other_tokens_than_the_official_ones() -> None:
    official = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer", reason="needs the extra captioner[java]")
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    captions = list(real_captions())
    lines = official.PTBTokenizer().tokenize(
        {number: [{"caption": caption}] for number, caption in enumerate(captions)}
    )
    different = [
        (caption, line, ours)
        for caption, (line,), ours in zip(captions, lines.values(), ptb.tokenize_lines(captions), strict=True)
        if ours != line
    ]
    assert len(captions) > 300_000
    assert not different


def real_captions() -> Iterator[str]:
    """The English captions of Multi30k, COCO and Flickr8k."""
    data = Path(os.environ.get("CAPTIONER_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    if not data.is_dir():
        pytest.skip("needs ../shared, or the folder in CAPTIONER_SHARED")
    for path in sorted((data / "multi30k" / "captions").glob("*.?.en.gz")):
        yield from gzip.decompress(path.read_bytes()).decode().splitlines()
    for path in sorted((data / "coco").glob("captions_*.zip")):
        yield from (entry["caption"] for entry in read_json(path)["annotations"])
    for _, _, _, captions in read_karpathy(read_json(data / "flickr8k" / "dataset_flickr8k.json.zip")["images"], data):
        yield from captions
