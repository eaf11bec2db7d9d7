"""What a query asks for: its words, which of them the model knows, and in what language it is."""

from dataclasses import dataclass
from typing import Any

from captioner.errors import UsageError
from captioner.models.search_config import LONGEST
from captioner.text.english import FUNCTION_WORDS
from captioner.text.known import about_unknown, says_something, unknown_words
from captioner.text.vocabulary import Vocabulary

# frequent words of other languages that English captions hardly have
_WORDS = {
    "de": "der die das ein eine einen einem einer und ist im auf mit zwei von für nicht den dem am zum",
    "fr": "le la les un une des du et est sur avec dans deux qui au aux sous près pas",
    "es": "el los las un una unos y es en con por para dos que del al sobre su",
    "it": "il lo gli una uno e con per di del della che sul sulla nel nella due un",
    "nl": "de het een en met op van naar twee die dat zijn bij voor",
    "pt": "o os as um uma e com em na no por dois duas que do da sobre",
}
_NAMES = {"de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch", "pt": "Portuguese"}


@dataclass(frozen=True)
class Query:
    """A sentence to search for.

    Attributes:
        text: as it was asked.
        tokens: its words.
        ids: of the words in the model's vocabulary.
        notes: what whoever asked should know, a sentence each.
    """

    text: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    notes: tuple[str, ...] = ()


_ADVICE = "ask in English, or name a translator into English with --translator"


def parse_query(text: str, vocabulary: Vocabulary, translator: str | None = None, *, advice: str = _ADVICE) -> Query:
    """Read a query; one in another language is translated where there is a translator.

    Args:
        text: as it was asked.
        vocabulary: the words that the model knows.
        translator: into English, by name or folder; by default one in the package, if there is any.
        advice: what to do about another language where there is no translator.

    Raises:
        UsageError: there is no word in it, the model knows none of them, or it is in another language.
        ModelError: the translator cannot be used.
    """
    words = [token for token in vocabulary.tokenization.tokenize(text) if token in vocabulary or _is_word(token)]
    tokens = tuple(words[:LONGEST])
    if not tokens:
        raise UsageError("the query is empty; say what a photo shows, such as 'a dog on the beach'.")
    unknown = unknown_words(tokens, vocabulary)
    language = _language(tokens, len(unknown))
    if language is not None:
        english = _translated(text, language, translator, advice)
        query = parse_query(english, vocabulary)
        note = f"{text!r} is {_NAMES[language]}; searched for {english!r}"
        return Query(text, query.tokens, query.ids, (note, *query.notes))
    if not says_something(tokens, vocabulary):
        raise UsageError(f"{text!r}: {about_unknown(unknown, vocabulary)}; say it in other, plain English words.")
    notes = [f"{text!r}: {about_unknown(unknown, vocabulary)}"] if unknown else []
    if len(words) > LONGEST:
        notes.append(f"the query has {len(words)} words, of which the first {LONGEST} are searched for")
    return Query(text, tokens, tuple(vocabulary.encode(tokens)), tuple(notes))


def _is_word(token: str) -> bool:
    return any(character.isalnum() for character in token)


def _language(tokens: tuple[str, ...], unknown: int) -> str | None:
    """The language of a query of which the model does not know half, by its most frequent words; None for English."""
    if 2 * unknown < len(tokens):
        return None
    counts = {name: sum(token in words.split() for token in tokens) for name, words in _WORDS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] > sum(token in FUNCTION_WORDS for token in tokens) else None


def _translated(text: str, language: str, translator: str | None, advice: str) -> str:
    """A query in English.

    Raises:
        UsageError: there is no translator from its language.
    """
    from captioner.models.base import load, translator_to

    if translator is None:
        try:
            translator = translator_to("en")
        except UsageError:
            raise UsageError(f"{text!r} is {_NAMES[language]}, and this model reads English: {advice}.") from None
    model: Any = load(translator, "cpu", ("translate",))
    if model.config.target != "en":
        raise UsageError(f"--translator {translator}: translates into {model.config.target}; name one into en.")
    if model.config.source != language:
        raise UsageError(
            f"{text!r} is {_NAMES[language]}, and {translator} reads {model.config.source}; ask in English."
        )
    english: str = model.translate([text])[0].text
    return english
