import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.text.tokenization import PTB, Tokenization, without_spaces
from captioner.text.unicode_words import is_alone, is_right_to_left, to_sentence, tokenize

CASES = [
    ("一只狗在草地上奔跑。", "一 只 狗 在 草 地 上 奔 跑", "一只狗在草地上奔跑。"),
    ("犬が3匹、公園で遊んでいる。", "犬 が 3 匹 公 園 で 遊 ん で い る", "犬が3匹公園で遊んでいる。"),
    ("개 두 마리가 달린다.", "개 ▁두 ▁마 리 가 ▁달 린 다", "개 두 마리가 달린다."),
    ("สุนัขวิ่งบนหญ้า", "สุ นั ข วิ่ ง บ น ห ญ้ า", "สุนัขวิ่งบนหญ้า"),
    ("Два чёрных пса бегут.", "два чёрных пса бегут", "Два чёрных пса бегут."),
    ("كلب يركض على العشب.", "كلب يركض على العشب", "كلب يركض على العشب."),
    ("שני כלבים רצים.", "שני כלבים רצים", "שני כלבים רצים."),
    ("दो कुत्ते दौड़ रहे हैं।", "दो कुत्ते दौड़ रहे हैं", "दो कुत्ते दौड़ रहे हैं।"),
    ("L'homme porte un tee-shirt.", "l' homme porte un tee-shirt", "L'homme porte un tee-shirt."),
    ("50 % of 3.5 m, in total", "50 % of 3.5 m in total", "50 % of 3.5 m in total."),
    ("一部iPhone手机", "一 部 iphone 手 机", "一部iphone手机。"),
    ("한 사람이 Nike 신발을", "한 ▁사 람 이 ▁nike ▁신 발 을", "한 사람이 nike 신발을."),
    ("می‌روند", "می‌روند", "می‌روند."),
    ("...", "", ""),
]


@pytest.mark.parametrize(("caption", "tokens", "sentence"), CASES)
def test_captions_of_many_languages_become_tokens_and_sentences_again(caption, tokens, sentence):
    caption, tokens, sentence = (unicodedata.normalize("NFC", each) for each in (caption, tokens, sentence))
    assert tokenize(caption) == tokens.split()
    assert to_sentence(tokens.split()) == sentence


def test_case_is_kept_where_that_is_asked():
    cased = Tokenization("unicode", lower=False)
    assert cased.tokenize("Ein Hund läuft im Gras.") == ["Ein", "Hund", "läuft", "im", "Gras"]
    assert cased.to_sentence(["der", "Hund"]) == "der Hund."
    names = [str(each) for each in (PTB, Tokenization("unicode"), cased)]
    assert names == ["ptb-3.4.1", "unicode-1", "unicode-1-cased"]


def test_both_unicode_forms_and_both_widths_give_the_same_tokens():
    assert tokenize(unicodedata.normalize("NFD", "Ein Mädchen trinkt Café")) == tokenize("Ein Mädchen trinkt Café")
    assert tokenize("ＡＢＣ１２") == ["abc12"]
    assert tokenize(unicodedata.normalize("NFD", "개가")) == ["개", "가"]


@given(st.text())
def test_tokens_hold_no_white_space_and_a_sentence_has_the_same_tokens_again(text):
    tokens = tokenize(text)
    assert all(token and not any(map(str.isspace, token)) for token in tokens)
    assert tokenize(to_sentence(tokens, lower=False)) == tokens or not all(map(_is_plain, tokens))


def _is_plain(token):
    """Whether a token consists of letters and digits that lower-casing and normalising leave as they are."""
    plain = unicodedata.normalize("NFC", token.lower()) == token
    return plain and all(unicodedata.category(each) in ("Ll", "Lo", "Nd") for each in token)


def test_captions_without_spaces_are_known_by_their_scripts():
    assert without_spaces(["一只狗。", "两只猫。", "A dog."]) == "一只狗。"
    assert without_spaces(["A dog.", "Ein Hund läuft.", "一"]) is None
    assert without_spaces([]) is None
    assert [is_alone(token) for token in ("犬", "▁개", "dog", "")] == [True, True, False, False]


def test_the_direction_is_that_of_the_first_letter():
    assert is_right_to_left("3 כלבים")
    assert not is_right_to_left("A dog")
    assert not is_right_to_left("...")
