"""The lexical rules of Stanford CoreNLP 3.4.1's PTBTokenizer, as far as captions need them; see `ptb`.

Written from what that program prints. Like it, the lexer takes the longest match of any rule at a place, and the first
rule where several match as much.
"""

import re
import unicodedata

# These keep their full stop wherever they stand; the first even before one more letter ("co.x").
_ABBREVIATIONS = """
    al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext feb fla fri ga
    inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla penn plc rd rt sep
    sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo ph\\.d ed\\.d
"""
_TITLES = """
    adj adm adv alex asst atty ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen gov govs hon insp
    invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres prof pvt rep reps rev sen sens sfc sgt spc
    st ste supt vs wm
"""
# Words in their own right unless they begin with a capital.
_CAPITAL_ABBREVIATIONS = "ark az del ill la mass miss ore pa tex wash"
_COMPANIES = "mfg mtg ppte pptes ppty pptys pte ptes pty ptys"  # not in all capitals
# "no. 5", but "no ."
NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop"
_FUSED = [("can", "not"), ("gon", "na"), ("got", "ta"), ("wan", "na"), ("gim", "me"), ("lem", "me")]

_QUOTES = "‘’‛‹›“”«»"
_OTHER_MARKS = "–—―…€£¢¤₠"
_LETTER = rf"[^\x00-@\[-`{{-\x7f{_QUOTES}{_OTHER_MARKS}]"
_WORD = rf"[^\x00-/:-@\[-`{{-\x7f{_QUOTES}{_OTHER_MARKS}]"  # a letter or digit
_END = rf"(?!{_WORD})"
_APOS = "['’]"
_APOS_OR_GRAVE = "['’`]"
_AUXILIARY = rf"{_APOS}(?i:s|d|m|ll|re|ve)(?!{_LETTER})"
_ADDRESS = r"[^\s\"<>|()]"
_ADDRESS_END = r"[^\s\"<>|().!?,;:-]"
_PREFIXED = rf"(?:[dDlLoO]{_APOS_OR_GRAVE}{_WORD}{{2,}}|{_WORD}+)"  # d'oeuvre
_DOTTED = rf"{_LETTER}{_WORD}*(?:[.!?]{_LETTER}{_WORD}*)*"  # captions forget the space after a full stop: "road.A"
_INITIALS = r"[A-Z]+(?:(?:&|&amp;|\+)[A-Z]+)+"  # A&M


def any_of(words: str) -> str:
    """A pattern for any of some words, separated by white space."""
    return "|".join(words.split())


# Where a pattern has a group, the group is the token; what follows it is context, which counts in the match's length.
_RULES = [
    re.compile(pattern)
    for pattern in (
        # entities, tags, addresses
        r"&(?i:lt|gt|amp|quot|apos|nbsp);|&#\d+;",
        r"</?[A-Za-z][A-Za-z0-9_:.-]*(?: +[A-Za-z][A-Za-z0-9_:.-]*)* */?>|<!--.*?-->",
        r"<[A-Za-z]\w*(?: +[A-Za-z]+=\"[^\"]*\")+ ?/?>",
        rf"(?i:https?)://{_ADDRESS}+\.{_ADDRESS}*{_ADDRESS_END}",
        rf"www\.(?:[^\s\"<>|.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}(?:/{_ADDRESS}+{_ADDRESS_END})?",
        rf"(?:[^\s\"`'<>|.!?(){{}},-_$]+\.)+(?:com|net|org|edu)(?:/{_ADDRESS}+{_ADDRESS_END})?",
        rf"<?{_WORD}[^\s\"<>|(){{}}]*@(?:[^\s\"<>|(){{}}.]+\.)*[^\s\"<>|(){{}}.]+>?",
        rf"@[A-Za-z_](?:{_WORD}|_)*",
        rf"#{_LETTER}+",
        # numbers: 1,000.5, 5:30, 3 1/2, telephones
        r"[+-]?\d*(?:[.:,]\d+)+|[+-]?\d+",
        r"(?:\d{1,4}[- ])?\d{1,4}/\d{1,4}",
        r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}",
        r"(?:\+?\d{2}[- ])?(?:\(\d{2,3}\)[- ]?|\d{2,4}[- ])\d{3,4}[- ]?\d{3,5}",
        # two tokens written as one
        *(rf"((?i:{head}))(?i:{tail}){_END}" for head, tail in _FUSED),
        rf"('[tT])(?i:is|was)(?!{_LETTER})",
        rf"([A-Za-z]*[A-MO-Za-mo-z])[nN]{_APOS_OR_GRAVE}[tT]",
        rf"[nN]{_APOS_OR_GRAVE}[tT]",
        rf"({_WORD}+){_AUXILIARY}",
        _AUXILIARY,
        rf"([yY]{_APOS}){_LETTER}",
        # words with an apostrophe
        rf"{_APOS}[nN](?:{_APOS}|(?!\S))",
        rf"{_APOS}(?i:em|till?|cause)",
        rf"{_APOS}[2-9]0[sS]|{_APOS}\d\d(?!\S)",
        rf"[lLdDjJ]{_APOS}|(?i:dunkin|somethin|ol){_APOS}",
        rf"(?i:o{_APOS}clock|e{_APOS}er|c'mon|s'mores|ev'ry|li'l|nat'l){_END}",
        rf"[A-HJ-XZn]{_APOS_OR_GRAVE}{_LETTER}{{2,}}",
        rf"{_LETTER}+[aeiouyAEIOUY]{_APOS_OR_GRAVE}[aeiouA-Z]{_LETTER}*",
        # words with a full stop
        rf"((?i:{any_of(_ABBREVIATIONS)})\.).?|((?=[A-Z])(?i:{any_of(_CAPITAL_ABBREVIATIONS)})\.).?",
        rf"(?i:{any_of(_TITLES)})\.|(?=[A-Z]?[a-zP]+\.)(?i:{any_of(_COMPANIES)})\.",
        rf"((?i:{any_of(NUMBER_ABBREVIATIONS)})\.) ?\d",
        rf"(?:{_WORD}(?:{_WORD}|[.,])*(?:-{_WORD}+)*-(?:[A-Za-z]\.))?(?:[A-Za-z]\.)+",
        rf"((?:{_DOTTED}|{_WORD}+|{_INITIALS})(?:-{_WORD}+)*\.)[,;:]",
        # words
        _DOTTED,
        rf"{_WORD}(?:{_WORD}|[.,])*(?:-{_WORD}+)+",
        rf"{_PREFIXED}(?:[_-]{_PREFIXED})*",
        rf"{_WORD}+(?:-{_LETTER}+){{0,2}}(?:/{_WORD}+(?:-{_LETTER}+){{0,2}}){{1,2}}",
        _INITIALS,
        r"[cC]\+\+|[cCfF]#|[A-Z]+\$",
        # faces and marks
        rf"[<>]?[:;=]'?[-o]?[()DdPpO|@{{\[\]]{_END}|\^_\^|-_-|>_<",
        r"-(?i:[lr][rcs]b)-|[!?]+|--+|\.{3,}|\*+|<+|>+|`+|#+|@+|_+|''",
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

# Symbols that are tokens; all others are dropped, as are emoji.
_SYMBOLS = re.compile(
    "[¡¥-©¬®-±´¶-¸¿×÷²³¹¼-¾‖‗†-•‰-‸※‾-⁂⁄⁰⁴-⁾₀-₎₤℀℁℃-℆℈℉℔№-℘℞-℣℥℧℩℮℺℻⅀-⅄⅊-⅍⅏⅓-⅞←-⯿、。〒・！-／：-＠［-｀｛-･￠￡]"
)
# Text in Windows' encoding read as Latin-1 is common enough for the tokenizer to mend it.
_WINDOWS_1252 = dict(zip([0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97], "€…‘’“”–—", strict=True))
_SOFT_HYPHEN = 0xAD


class _Characters(dict[int, str]):
    """What characters beyond ASCII become before the rules see them; filled as they are met."""

    def __missing__(self, code: int) -> str:
        character, category = chr(code), unicodedata.category(chr(code))
        if code < 0x80:
            new = character
        elif code in _WINDOWS_1252:
            new = _WINDOWS_1252[code]
        elif code == _SOFT_HYPHEN:
            new = ""
        elif code <= 0xFFFF and (category[0] in "LM" or category == "Nd" or character in _QUOTES + _OTHER_MARKS):
            new = character
        else:  # characters outside the basic plane are unknown to the tokenizer
            new = f" {character} " if _SYMBOLS.match(character) else " "
        self[code] = new
        return new


CHARACTERS = _Characters()


# Words of ASCII letters are their own tokens unless they are these, and nine words in ten are: they need no rules.
_UNUSUAL = frozenset(
    f"{_ABBREVIATIONS} {_TITLES} {_CAPITAL_ABBREVIATIONS} {_COMPANIES} {NUMBER_ABBREVIATIONS}".split()
) | {head + tail for head, tail in _FUSED}


def lex(text: str) -> list[str]:
    """Cut text, its characters translated by `CHARACTERS`, into lower-case tokens, punctuation included."""
    word = text[:-1].lower() if text[-1:] in (".", ",") else text.lower()
    if len(word) > 1 and word.isalpha() and word.isascii() and word not in _UNUSUAL:
        return [word, text[-1]] if len(word) < len(text) else [word]
    tokens = []
    place = 0
    while place < len(text):
        if text[place] <= " " or text[place] == "\x7f":
            place += 1
            continue
        longest = max(filter(None, (rule.match(text, place) for rule in _RULES)), key=re.Match.end)
        token = longest[longest.lastindex or 0]
        place += len(token)
        tokens.append(_rewrite(token))
    return tokens


_JOINED = re.compile("[A-Z]+&amp;[A-Z]+")
_AUXILIARIES = re.compile("n’t|’(?:s|m|d|ll|re|ve)")


def _rewrite(token: str) -> str:
    """A token as the tokenizer prints it: brackets, quotation marks, dashes and entities in ASCII, lower case."""
    if token in _REWRITTEN:
        return _REWRITTEN[token]
    if not token.strip("-"):
        return token[:2]
    if not token.strip("."):
        return token[:3]
    if token[0] == "&":
        return _REWRITTEN.get(token.lower(), token)
    if _JOINED.fullmatch(token):
        token = token.replace("&amp;", "&")
    token = token.replace(" ", "\u00a0").replace("(", "-lrb-").replace(")", "-rrb-").lower()
    return token.replace("’", "'") if _AUXILIARIES.fullmatch(token) else token
