"""Numbers, web and e-mail addresses of a text, which its translation has to keep."""

import re

_TAIL = r"[^\s\x00-\x1f\x7f-\x9f<>\"'”’»)\]]*[\w/]"
# looking behind keeps the time for an endless word linear
_ADDRESS = re.compile(
    rf"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?i:https?://|\bwww\.){_TAIL}"
    rf"|(?<![\w.-])[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|de|fr|eu|uk)\b(?:/{_TAIL})?"
)
_NUMBER = re.compile(r"\d+(?:[.,:'’/-]\d+)*")
_GROUPED = re.compile(r"(?<!\d)\d{1,3}(?:[.,'’\s]\d{3})+(?!\d)")
_ZEROS = re.compile(r"[.,]0{1,2}$")  # 2.00 is 2
_VALUES = [str(value) for value in (*range(21), *range(30, 101, 10), 1000)]
_STEMS = {
    "de": "null|kein ein|erst zwei|beid drei|dritt vier fünf sechs sieb acht neun zehn elf zwölf|dutzend dreizehn "
    "vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig dreißig|dreissig vierzig fünfzig sechzig siebzig "
    "achtzig neunzig hundert|einhundert tausend|eintausend",
    "en": "zero|no one|first|a two|second|both three|third four fi six seven eight nin ten eleven twel|dozen thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen twent thirt fort fift sixt sevent eight ninet hundred "
    "thousand",
    "fr": "zéro|aucun un|premi deux|second trois|tiers quatr|quatuor cinq six|sixi sept huit neu dix onz douz treiz "
    "quatorz quinz seiz dix-sept dix-huit dix-neu vingt trent quarant cinquant soixant soixante-dix|septant "
    "quatre-vingt|huitant quatre-vingt-dix|nonant cent mill",
}
"""How the words for these values begin, cardinal and ordinal, by language."""
_WORDS = {
    language: {value: re.compile(rf"(?<!\w)(?:{stem})") for value, stem in zip(_VALUES, stems.split(), strict=True)}
    for language, stems in _STEMS.items()
}


def missing_details(text: str, translation: str, language: str) -> list[str]:
    """The numbers and addresses of a text that its translation lacks.

    Numbers are compared by their digits, since languages part these in different ways; round and small ones may be
    words in the translation. What is a word in the text is not looked for.

    Args:
        text: that was translated.
        translation: of it.
        language: of the translation; of others than German, English and French the words for numbers are not known, and
            round and small numbers not looked for.
    """
    lower = translation.lower()
    found = {*_runs(translation), *("".join(_runs(group)) for group in _GROUPED.findall(translation))}

    def is_there(number: str) -> bool:
        runs = _runs(_ZEROS.sub("", number))
        whole = "".join(_runs(number)) if _GROUPED.fullmatch(number) else None
        return whole in found or all(run in found or _is_word(run, lower, language) for run in runs)

    addresses = [address for address in _ADDRESS.findall(text) if address.lower() not in lower]
    numbers = [number for number in _NUMBER.findall(_ADDRESS.sub(" ", text)) if not is_there(number)]
    return list(dict.fromkeys([*addresses, *numbers]))


def _runs(text: str) -> list[str]:
    """The digits that stand together, without the zeros before them."""
    return [run.lstrip("0") or "0" for run in re.findall(r"\d+", text)]


def _is_word(run: str, translation: str, language: str) -> bool:
    """Whether a number is a word in a translation in lower case, or may be one in a language of which none is known."""
    if language not in _WORDS:
        return run in _VALUES
    stem = _WORDS[language].get(run)
    return stem is not None and stem.search(translation) is not None
