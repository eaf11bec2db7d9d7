"""Which words of a phrase a model knows, and near ones for those that it does not."""

from collections.abc import Sequence
from difflib import get_close_matches

from captioner.text.english import FUNCTION_WORDS
from captioner.text.vocabulary import SPECIALS, Vocabulary

_NEAR = 0.75


def unknown_words(tokens: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """The words of a phrase that a vocabulary lacks, each once."""
    return list(dict.fromkeys(token for token in tokens if token not in vocabulary))


def says_something(tokens: Sequence[str], vocabulary: Vocabulary) -> bool:
    """Whether anything of a phrase is left without its unknown words; `a` and `on` alone are nothing."""
    unknown = unknown_words(tokens, vocabulary)
    return not unknown or any(token not in unknown and token not in FUNCTION_WORDS for token in tokens)


def about_unknown(unknown: Sequence[str], vocabulary: Vocabulary) -> str:
    """Says of one or several words that a model does not know them, and which near ones it does."""
    several = "are no words" if len(unknown) > 1 else "is no word"
    near = {word: get_close_matches(word, vocabulary.tokens[len(SPECIALS) :], n=2, cutoff=_NEAR) for word in unknown}
    hints = [f"for {word!r}: {', '.join(close)}" for word, close in near.items() if close]
    listed = ", ".join(map(repr, unknown))
    return f"{listed} {several} that this model knows" + (f" (near ones {'; '.join(hints)})" if hints else "")


def known_labels(labels: Sequence[str], vocabulary: Vocabulary) -> tuple[list[str], list[str]]:
    """The labels of which a model knows enough, each that is the same to it once: `cat`, `Cat` and `a cat`.

    Returns:
        the labels, and a sentence about each that has unknown words or is left out.
    """
    known, notes = dict[tuple[int, ...], str](), []
    for label in labels:
        tokens = vocabulary.tokenization.tokenize(label)
        unknown, kept = unknown_words(tokens, vocabulary), bool(tokens) and says_something(tokens, vocabulary)
        bare = tokens[1:] if tokens[:1] in (["a"], ["an"]) else tokens
        first = known.setdefault(tuple(vocabulary.encode(bare)), label) if kept else label
        if unknown:
            end = "" if kept else "; the label is left out"
            notes.append(f"label {label!r}: {about_unknown(unknown, vocabulary)}{end}")
        elif not kept:
            notes.append(f"label {label!r}: has no word; the label is left out")
        if first != label:
            notes.append(f"label {label!r}: the same as {first!r} to this model; the label is left out")
    return list(known.values()), notes
