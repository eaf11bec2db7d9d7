"""Penn Treebank tokens exactly as the official COCO caption scorer makes them, without Java.

The scorer runs Stanford CoreNLP 3.4.1's PTBTokenizer with `-preserveLines -lowerCase` over all captions as the lines of
one file, and drops a list of punctuation. The rules below were written from what that program prints. Like it, the
lexer takes the longest match of any rule, and the first rule where several match as much.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

# The scorer's list has brackets in capitals, but lower-casing comes first: -lrb- and its kin therefore stay.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

# These keep their full stop wherever they stand.
_ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn asst atty aug ave bhd bldg blvd brig bros calif capt cf cie cmdr co col colo
    comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri ft ga gen gov govs hon inc
    ind insp intl invt jan jos jr jul jun kan kans ky lieut lt ltd maj mar md messrs mich minn mlle mme mo mon mont mr
    mrs ms msgr mt natl neb nev nov oct okla penn pfc ph plc pres prof pvt rd rep reps rev rt sen sens sep sept seq
    sfc sgt spc sq sr st ste supt sys tel tenn thu thurs tue tues univ va vs vt wed wis wisc wm wyo
"""
# Words in their own right unless they begin with a capital.
_CAPITAL_ABBREVIATIONS = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
# "no. 5", but "no ."
_NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop"
# A single letter with a full stop ends its sentence before a word that begins one: "the letter P. The".
_SENTENCE_STARTERS = """
    a about according additionally after an as at but earlier he her here however if in it last many more mr. ms. now
    once one other our she since so some such that the their then there these they this we what when while yet you
"""

_QUOTES = "‘’‛‹›“”«»"
_OTHER_MARKS = "–—―…€£¢¤₠"
_LETTER = rf"[^\x00-@\[-`{{-\x7f{_QUOTES}{_OTHER_MARKS}]"
_WORD = rf"[^\x00-/:-@\[-`{{-\x7f{_QUOTES}{_OTHER_MARKS}]"  # a letter or digit
_END = rf"(?!{_WORD})"
_APOS = "['’]"
_AUXILIARY = rf"{_APOS}(?i:s|d|m|ll|re|ve)(?!{_LETTER})"
_ADDRESS = r"[^\s\"<>|()]"
_ADDRESS_END = r"[^\s\"<>|().!?,;:-]"
_PREFIXED = rf"(?:[dDlLoO]{_APOS}{_LETTER}{_WORD}+|{_WORD}+)"  # d'oeuvre
_DOTTED = rf"{_LETTER}{_WORD}*(?:[.!?]{_LETTER}{_WORD}*)*"  # captions forget the space after a full stop: "road.A"


def _any_of(words: str) -> str:
    return "|".join(words.split())


# Where a pattern has a group, the group is the token; what follows it is context, which counts in the match's length.
_RULES = [
    re.compile(pattern)
    for pattern in (
        # entities, tags, addresses
        r"&(?i:lt|gt|amp|quot|apos|nbsp);|&#\d+;",
        r"</?[A-Za-z][A-Za-z0-9_:.-]*(?: [A-Za-z]+)* ?/?>|<!--.*?-->|<[A-Za-z]\w*(?: +[A-Za-z]+=\"[^\"]*\")+ ?/?>",
        rf"(?i:https?)://{_ADDRESS}+\.{_ADDRESS}*{_ADDRESS_END}",
        rf"(?i:www)(?:\.(?:{_WORD}|[_-])+)+\.(?i:com|net|org|edu)(?:/{_ADDRESS}*{_ADDRESS_END})?",
        rf"{_WORD}{{2,}}(?:\.{_WORD}+)*\.(?i:com|net|org|edu)[/?]{_ADDRESS}*{_ADDRESS_END}",
        rf"<?{_WORD}{_ADDRESS}*@{_ADDRESS}*[^\s\"<>|().!?,;:]>?",
        rf"@[A-Za-z_](?:{_WORD}|_)*",
        rf"#{_LETTER}+",
        # numbers: 1,000.5, 5:30, 3 1/2, telephones
        r"[+-]?\d*(?:[.:,]\d+)+|[+-]?\d+",
        r"(?:\d{1,4}[- ])?\d{1,4}/\d{1,4}",
        r"(?:\+?\d{2}[- ])?(?:\(\d{2,3}\)[- ]?|\d{2,4}[- ])\d{3,4}[- ]?\d{3,5}",
        # two tokens written as one
        *(rf"((?i:{head}))(?i:{tail}){_END}" for head, tail in
          [("can", "not"), ("gon", "na"), ("got", "ta"), ("wan", "na"), ("gim", "me"), ("lem", "me")]),
        rf"('[tT])(?i:is|was)(?!{_LETTER})",
        rf"({_WORD}+?)[nN](?:{_APOS}|`)[tT]",
        rf"[nN](?:{_APOS}|`)[tT]",
        rf"({_WORD}+){_AUXILIARY}",
        _AUXILIARY,
        rf"([yY]{_APOS}){_LETTER}",
        # words with an apostrophe
        rf"{_APOS}[nN](?:{_APOS}|(?!{_LETTER}))",
        rf"{_APOS}(?i:em|till?|cause)",
        rf"{_APOS}[2-9]0s|{_APOS}[2-9]\d(?!{_WORD}|[.'])",
        rf"[lLdDjJ]{_APOS}|(?i:dunkin|somethin|ol){_APOS}",
        rf"(?i:o{_APOS}clock|c'mon|s'mores|ev'ry|li'l|nat'l){_END}",
        rf"[A-HJ-XZn]{_APOS}{_LETTER}{{2,}}",
        rf"{_LETTER}*[aeiouyAEIOUY]{_APOS}[aeiouA-Z]{_LETTER}*",
        # words with a full stop
        rf"(?i:{_any_of(_ABBREVIATIONS)}|ph\.d|ed\.d)\.|(?:{_any_of(_CAPITAL_ABBREVIATIONS)})\.",
        r"[Mm][ft]g\.|[Pp]{0,1}pt[ey]s?\.|Pt[ey]s?\.",
        rf"((?i:{_any_of(_NUMBER_ABBREVIATIONS)})\.) ?\d",
        r"(?:[A-Za-z]\.)+",
        rf"({_WORD}+(?:-{_WORD}+)*\.)[,;:]",
        # words
        _DOTTED,
        rf"{_DOTTED}\.?(?:-{_WORD}+)+",
        rf"{_PREFIXED}(?:[_-]{_PREFIXED})*",
        rf"{_WORD}+(?:-{_LETTER}+){{0,2}}(?:/{_WORD}+(?:-{_LETTER}+){{0,2}}){{1,2}}",
        r"[A-Z]+&(?:amp;)?[A-Z]+",
        r"[cC]\+\+|[cCfF]#|(?:US|HK|[A-Z])\$",
        # faces and marks
        rf"[<>]?[:;=]'?-?[()DPp|\[\]]{_END}|[:;=][oO3@{{]{_END}|\^_\^|-_-|>_<",
        r"[!?]+|--+|\.{3,}|\*+|<+|>+|`+|#+|@+|_+|''",
        r".",
    )
]  # fmt: skip

_REWRITTEN = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": "''", "&apos;": "'", "&nbsp;": "",
    '"': "''", "“": "``", "”": "''", "«": "``", "»": "''", "‘": "`", "‛": "`", "‹": "`", "’": "'", "›": "'",
    "–": "--", "—": "--", "―": "--", "…": "...", "€": "$", "¤": "$", "₠": "$", "£": "#", "¢": "cents",
    "¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
}  # fmt: skip


def tokenize(caption: str) -> list[str]:
    """Split a caption into the lower-case tokens that the official scorer counts.

    Args:
        caption: one caption; line breaks count as spaces.

    Returns:
        Tokens without white space, without the scorer's punctuation.
    """
    return tokenize_line(caption).split()


def tokenize_line(caption: str, following: str = "") -> str:
    """The same as one line of tokens, as the official scorer keeps it.

    "1 1/2" is a single token there, with a no-break space, which BLEU and CIDEr-D split and ROUGE-L does not.

    Args:
        caption: one caption; line breaks count as spaces.
        following: what the scorer reads next: after a last word like "P." it matters whether a sentence begins.
    """
    if not caption.isascii():
        caption = caption.translate(_CHARACTERS)
    tokens: list[str] = []
    for word in caption.split():
        found = _lex_alone(word)
        if found is None:
            return " ".join(chain.from_iterable(map(_lex, _parts(caption, following))))
        tokens += found
    return " ".join(tokens)


def tokenize_lines(captions: Sequence[str]) -> list[str]:
    """Tokenise captions as the scorer does, one after the other in one file; see `tokenize_line`."""
    return [tokenize_line(*pair) for pair in zip(captions, [*captions[1:], ""], strict=True)]


class _Characters(dict[int, str]):
    """What becomes of characters beyond ASCII: the lexer's table for `str.translate`, filled as they are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if code > 0xFFFF or category[0] in "ZC":  # halves of a surrogate pair are unknown to the tokenizer
            new = _WINDOWS_1252.get(code, "" if code == 0xAD else " ")
        elif character in _QUOTES + _OTHER_MARKS or category[0] in "LM" or category == "Nd":
            new = character
        else:
            new = f" {character} " if re.match(_SYMBOLS, character) else " "
        self[code] = new
        return new


# Symbols that are tokens; the tokenizer drops all others.
_SYMBOLS = (
    "[¡¥-©¬®-±´¶-¸¿×÷²³¹¼-¾‖‗†-•‰-‸※‾-⁂⁄⁰⁴-⁾₀-₎₤℀℁℃-℆℈℉℔№-℘℞-℣℥℧℩℮℺℻⅀-⅄⅊-⅍⅏⅓-⅞←-⯿、。〒・！-／：-＠［-｀｛-･￠￡]"
)
_WINDOWS_1252 = dict(zip([0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97], "€…‘’“”–—", strict=True))
_CHARACTERS = _Characters()

_NEEDS_CONTEXT = re.compile(rf"[0-9<>]|(?<![^\W_])[A-Za-z]\.$|(?<![^\W_])(?i:{_any_of(_NUMBER_ABBREVIATIONS)})\.$")
_LAST_LETTER = re.compile(r"(?<![\w&'’/-])(?<![A-Za-z]\.)[A-Za-z]\.$")
_STARTERS = frozenset(_SENTENCE_STARTERS.split())


def _parts(caption: str, following: str) -> Iterator[str]:
    """Cut a line at white space, except where tokens depend on what follows it."""
    if "<" in caption and ">" in caption:  # perhaps a tag with spaces
        yield caption
        return
    words = [(match.start(), match[0]) for match in re.finditer(r"\S+", caption)]
    part, end = "", 0
    for start, word in words:
        joined = part[-1:] in "0123456789)" and word[0] in "0123456789(" and start == end + 1
        if part and not joined:
            yield _with_next(part, word)
            part = ""
        part = f"{part} {word}" if part else word
        end = start + len(word)
    if part:
        yield _with_next(part, following.split(maxsplit=1)[0] if following.strip() else "")


def _with_next(part: str, word: str) -> str:
    """A part of a line as it is to be read before `word`: with or without its last full stop."""
    if _LAST_LETTER.search(part) and word[:1].isupper() and word.lower() in _STARTERS:
        return part[:-1]
    if part.endswith(".") and word[:1].isdigit() and part[:-1].lower() in _NUMBER_ABBREVIATIONS.split():
        return part + ","  # keeps its full stop too
    return part


@lru_cache(maxsize=1 << 17)
def _lex_alone(word: str) -> tuple[str, ...] | None:
    return None if _NEEDS_CONTEXT.search(word) else _lex(word)


@lru_cache(maxsize=1 << 16)
def _lex(text: str) -> tuple[str, ...]:
    tokens = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        longest = max(filter(None, (rule.match(text, place) for rule in _RULES)), key=re.Match.end)
        token = longest[longest.lastindex or 0]
        place += len(token)
        token = _rewrite(token)
        if token and token not in PUNCTUATION:
            tokens.append(token)
    return tuple(tokens)


def _rewrite(token: str) -> str:
    if token in _REWRITTEN:
        return _REWRITTEN[token]
    if token[0] in "-." and not token.strip("-."):
        return token[:2] if token[0] == "-" else "..."[: len(token)]
    if token[:1] == "&":
        return _REWRITTEN.get(token.lower(), token)
    token = token.replace("&amp;", "&").replace(" ", "\u00a0").replace("(", "-lrb-").replace(")", "-rrb-").lower()
    return token.replace("’", "'") if _CONTRACTED.fullmatch(token) else token


_CONTRACTED = re.compile(r"n’t|’(?:s|m|d|ll|re|ve)")
