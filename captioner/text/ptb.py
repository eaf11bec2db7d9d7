"""Penn Treebank tokens exactly as the official COCO caption scorer makes them, without Java.

The scorer runs Stanford CoreNLP 3.4.1's PTBTokenizer with `-preserveLines -lowerCase` and drops a list of punctuation.
The rules here were written from what that program prints, not from its source.
"""

import re
from functools import lru_cache

# The official list is written in capitals, and lower-casing comes first: brackets (-lrb-, -rrb-) therefore stay.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

_ABBREVIATIONS = """
    adj adm adv al alex apr ariz assn asst atty aug ave bhd bldg blvd brig bros capt cf cie cmdr co col colo conn
    corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri ft gen gov govs hon inc ind insp intl
    invt jan jos jr jul jun kan kans ky lt ltd maj mar md mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt mtg natl
    neb nev nov oct okla penn pfc ph plc ppte ppty pres prof pte ptes pty ptys pvt rd rep reps rev rt sen sens sep sept
    seq sfc sgt spc sq sr st ste supt sys tel tenn thu tue tues univ va vs vt wed wis wisc wm wyo
"""
_CAPITALISED = "AL Ala Ark Az Del Ga Ill LA La Mass Md Miss Ore Pa Tex Wash"
_BEFORE_NUMBERS = "art ca fig figs no nos op pp prop"

_TOKEN = re.compile(
    rf"""
      \s+
    | (?P<token>
        https?://[^\s"<>]*[^\s"<>.,;:!?()]
      | (?:www\.)?(?:[a-z0-9]+\.)+(?:com|net|org|edu|co\.uk|cc)(?![a-z])
      | (?:\d{{1,4}}[- ])?\d{{1,4}}/\d{{1,4}}(?![\w])                       # 1/2, 3 1/2
      | \d+(?:[.:]\d+)+(?=[ap]m\b)                          # 5:30pm is two tokens
      | [+-]\d+(?:[.,:]\d+)*(?![\w-]) | (?<!\w)[.:]\d+(?![\w])
      | \d+(?:[.,:]\d+)+(?![\w])
      | (?:[a-z]\.)+[a-z](?:\.|(?![\w]))
      | [a-z]\.(?=\s*\S)(?!\s*['"]?\s*$)(?!\w)
      | (?:{"|".join(_ABBREVIATIONS.split())})\.(?!\w) | (?-i:{"|".join(_CAPITALISED.split())})\.(?!\w)
      | (?:{"|".join(_BEFORE_NUMBERS.split())})\.(?=\s*\d)
      | (?:can(?=not\b)|gon(?=na\b)|got(?=ta\b)|wan(?=na\b)|gim(?=me\b)|lem(?=me\b))
      | (?<=can)not\b | (?<=gon)na\b | (?<=got)ta\b | (?<=wan)na\b | (?<=gim)me\b | (?<=lem)me\b
      | '(?:t(?=is\b|was\b)|em\b|n'|\d0s\b) | (?<='t)(?:is|was)\b | 'n'
      | o'clock\b | ma'am\b | y'(?=all\b) | (?:[ldo])'[a-z]{{2,}} | dunkin' | graffiti'ed
      | n['’]t(?![a-z]) | ['’](?:s|m|d|ll|re|ve)(?![a-z])
      | (?:[a-z0-9]|[^\W_])+?(?=n['’]t(?![a-z]))
      | [^\W_]+(?:&(?:amp;)?[^\W\d_](?![^\W\d_]))
      | [a-z]+(?:\.[a-z]+)+
      | (?:[^\W_]+(?:[_/-][^\W_]+)*)(?:\.(?=[,;:]))?
      | &amp; | &lt; | &gt; | &nbsp;
      | \.{{3}} | [!?]+ | --+
      | .
      )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_REWRITTEN = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
              "&amp;": "&", "&lt;": "<", "&gt;": ">", "&nbsp;": "", "“": "``", "”": "''", "‘": "`", "’": "'", '"': "''",
              "–": "--", "—": "--", "…": "..."}  # fmt: skip


def tokenize(caption: str) -> list[str]:
    """Split a caption into the lower-case tokens that the official scorer counts.

    Args:
        caption: one caption; line breaks count as spaces.

    Returns:
        Tokens without white space, without the scorer's punctuation.
    """
    return tokenize_line(caption).split()


def tokenize_line(caption: str) -> str:
    """The same as one line, as the official scorer keeps it.

    A mixed number ("1 1/2") is one token there, with a no-break space; BLEU and CIDEr-D split it, ROUGE-L does not.
    """
    words = caption.split()
    if not words:
        return ""
    if any(map(str.isdigit, caption)):  # numbers look across spaces
        return " ".join(_lex(" ".join(words)))
    tokens: list[str] = []
    for word in words[:-1]:
        tokens += _lex(word + " a")[:-1]
    tokens += _lex(words[-1])
    return " ".join(tokens)


@lru_cache(maxsize=1 << 17)
def _lex(text: str) -> tuple[str, ...]:
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match["token"]
        if token is not None:
            token = _REWRITTEN.get(token, token).lower().replace("’", "'").replace("&amp;", "&")
            if token and token not in PUNCTUATION:
                tokens.append(token.replace(" ", "\u00a0"))
    return tuple(tokens)
