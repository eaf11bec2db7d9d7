import pytest

from captioner.text.readable import in_small_letters, readable, without_markup

KNOWN = frozenset("abcdefghijklmnopqrstuvwxyzA0123456789 .,-/")


@pytest.mark.parametrize(
    ("text", "read", "missed"),
    [
        ("A dog 🐕 runs.", "A dog runs.", ["🐕"]),
        ("A [red] dog\ufeff.", "A red dog .".replace(" .", "."), []),
        ("a do\xadg — runs", "a dog - runs", []),
        ("jalapeño ½ ﬁsh", "jalapeno 1/2 fish", []),
        ("A Dog", "A dog", []),
        ("A DOG", "a dog", []),
        ("a 狗 € 狗", "a 狗 狗", ["狗", "€"]),
        ("[]", "", []),
        ("a 2½ year, 10² of ¾", "a 2 1/2 year, 10 of 3/4", ["²"]),
        ("a ❤️ 1️⃣ dog", "a 1 dog", ["❤"]),
    ],
)
def test_what_a_vocabulary_lacks_is_written_otherwise_or_left_out(text, read, missed):
    assert readable(text, KNOWN) == (read, missed)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<b>A dog</b> runs.<br/>A <a href='x'>cat</a>.", "A dog runs. A cat."),
        ("A man &amp; a dog&#39;s &lt;toy&gt;", "A man & a dog's <toy>"),
        ("if x <a or y> 3 and x<a y>z", "if x <a or y> 3 and x<a y>z"),
        ("3 < 4 > 2, <toy>, AT&T; x&copy y", "3 < 4 > 2, <toy>, AT&T; x&copy y"),
    ],
)
def test_markup_is_no_text(text, plain):
    assert without_markup(text) == plain


@pytest.mark.parametrize(
    ("text", "small"),
    [
        ("A STOP sign of the US, NASA and IT", "A stop sign of the US, NASA and IT"),
        ("a PERSON JUMPING ON A board of XYZ DOG", "a person JUMPING on a board of XYZ dog"),
        ("A STOP SIGN",) * 2,
    ],
)
def test_shouted_words_are_read_in_small_letters(text, small):
    assert in_small_letters(text, frozenset(["stop", "us", "it", "person", "on", "a", "dog", "sign"])) == small
