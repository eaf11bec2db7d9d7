"""Ordinary English from PTB tokens: what a reader sees. Scores are computed on tokens, never on these sentences.

Two choices are ours, because lower-case tokens without punctuation cannot say: a sentence begins with an upper-case
letter and closes with a full stop. The pronoun "I" is the only other word written upper-case.
"""

import re
from collections.abc import Sequence
from typing import Any

# what the Penn Treebank writes for characters that its bracketed trees reserve, and for quotation marks
_WRITTEN = {
    **{"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}"},
    **{"``": '"', "''": '"', "`": "'", "\\/": "/", "\\*": "*", "i": "I"},
}
# words that the Treebank cuts in two
_CUT_WORDS = {("can", "not"), ("gim", "me"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("wan", "na")}
_CLITICS = {"n't", "'s", "'m", "'d", "'re", "'ve", "'ll", "'"}
_JOINS_BOTH = {"-", "/", "\\/"}
_JOINS_LEFT = {*_CLITICS, *_JOINS_BOTH, *".,;:?!%)]}", "...", "-rrb-", "-rsb-", "-rcb-", "''"}
_JOINS_RIGHT = {*_JOINS_BOTH, *"([{`$£€#", "-lrb-", "-lsb-", "-lcb-", "``"}

# words of captions that name nothing visible, as PTB tokens
_FUNCTION_WORDS = """
a an the some this that these those it its he his him she her they their them there who which what one another each
other both and or but while as with without of in on at by to from for into onto over under up down out off near next
through around along across behind above is are was be been being has have had do does 's n't not very so just all
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def to_sentence(tokens: Sequence[str]) -> str:
    """Join PTB tokens into an English sentence: `a man 's hat` becomes "A man's hat."; no tokens become "".

    Contractions, brackets, quotation marks, punctuation and hyphens lose the spaces that tokenisation gave them.
    """
    text = ""
    previous = ""
    glue = True
    inside_quotes = False
    for token in tokens:
        written = _WRITTEN.get(token, token).replace("\\/", "/")
        if token == '"':  # the only mark that does not say which end of a quotation it is
            token = "''" if inside_quotes else "``"
            inside_quotes = not inside_quotes
        glue = glue or token in _JOINS_LEFT or (previous, token) in _CUT_WORDS
        text += written if glue else " " + written
        glue = token in _JOINS_RIGHT
        previous = token
    # str.capitalize would lower-case the rest
    text = re.sub(r"\w", lambda first: first.group().upper(), text, count=1)
    ends = re.search(r"[.!?][\"')\]}]*$", text)
    return text if ends or not text else text + "."


def rules() -> dict[str, Any]:
    """What `to_sentence` goes by, as plain values for programs in other languages."""
    return {
        "written": _WRITTEN,
        "cut_words": sorted(map(list, _CUT_WORDS)),
        "joins_left": sorted(_JOINS_LEFT),
        "joins_right": sorted(_JOINS_RIGHT),
    }
