"""Pairs of captions that teach a translator the nouns of photos: a small grammar in English, German and French.

    python benchmarks/caption_pairs.py --to de -o DATA/pairs.en-de.tsv
    python benchmarks/caption_pairs.py --to fr -o DATA/pairs.en-fr.tsv

`configs/caption_pairs` holds what it is made of: `nouns.txt` with genders and plurals, `adjectives.txt` and
`templates.txt`, whose slots say in which form a phrase stands there. Each noun gets `--each` captions, with whatever
else fits its templates; what they say need not be likely, only right in both languages. Beside them lies
`captions.tsv`, written by hand in the three languages, which `data.train` reads as it is:
`{table: configs/caption_pairs/captions.tsv, columns: [0, 1]}` for German, `[0, 2]` for French.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "configs" / "caption_pairs"
NUMBERS = (
    ("two", "zwei", "zwei", "deux"),
    ("three", "drei", "drei", "trois"),
    ("four", "vier", "vier", "quatre"),
    ("several", "mehrere", "mehreren", "plusieurs"),
)
"""English, German, German in the dative, French."""
INDEFINITE = {"m": ("ein", "einen", "einem"), "f": ("eine", "eine", "einer"), "n": ("ein", "ein", "einem")}
DEFINITE = {"m": ("der", "den", "dem"), "f": ("die", "die", "der"), "n": ("das", "das", "dem")}
AFTER_INDEFINITE = {"m": ("er", "en", "en"), "f": ("e", "e", "en"), "n": ("es", "es", "en")}
AFTER_DEFINITE = {"m": ("e", "en", "en"), "f": ("e", "e", "en"), "n": ("e", "e", "en")}
"""By gender, for nominative, accusative and dative."""
ASPIRATED = ("haricot", "hamburger", "hibou", "hérisson", "hot-dog", "yacht", "yaourt")


@dataclass(frozen=True)
class Noun:
    """Its words, and gender and plural where there are any; the gender `w` is a weak masculine, `p` a plural."""

    english: tuple[str, ...]
    german: tuple[str, ...]
    french: tuple[str, ...]


@dataclass(frozen=True)
class Adjective:
    """An adjective: the German stem; the French masculine, feminine and their plurals, and whether it goes before."""

    english: str
    german: str
    french: tuple[str, ...]
    before: bool


@dataclass(frozen=True)
class Phrase:
    """What stands in a slot."""

    noun: Noun
    adjective: Adjective | None
    number: tuple[str, ...]


class English(Phrase):
    """Forms: `i` a dog, `d` the dog, `s` dog, `p` dogs, `q` two dogs."""

    def __format__(self, form: str) -> str:
        adjective = f"{self.adjective.english} " if self.adjective else ""
        one, many = adjective + self.noun.english[0], adjective + self.noun.english[-1]
        if form == "i":
            return f"an {one}" if one[0] in "aeiou" and not one.startswith("uri") else f"a {one}"
        return {"d": f"the {one}", "s": one, "p": many, "q": f"{self.number[0]} {many}"}[form]


class German(Phrase):
    """Forms as in English, with a case (`in`, `ia`, `id`); `s`, `von` (von einem Hund) and `rel` (der) have none."""

    def __format__(self, form: str) -> str:
        word, kind = self.noun.german[:2]
        many = self.noun.german[-1] if len(self.noun.german) > 2 else word
        gender = "m" if kind == "w" else kind
        stem = self.adjective.german if self.adjective else ""
        if form == "s":
            return word
        if form == "rel":
            return DEFINITE[gender][0]
        if form == "von":
            return f"von {self:id}"
        case = "nad".index(form[1])
        if form[0] in "pq":
            if case == 2 and many.endswith(("e", "l", "r")):
                many += "n"
            number = self.number[2 if case == 2 else 1] if form[0] == "q" else ""
            return " ".join(filter(None, [number, stem and stem + ("en" if case == 2 else "e"), many]))
        articles, endings = (INDEFINITE, AFTER_INDEFINITE) if form[0] == "i" else (DEFINITE, AFTER_DEFINITE)
        declined = many if kind == "w" and case else word
        return " ".join(filter(None, [articles[gender][case], stem and stem + endings[gender][case], declined]))


class French(Phrase):
    """Forms as in English; `di`, `dd`, `ds`, `dp` with `de` before them, `part` du pain, `+i` the e of a feminine."""

    def __format__(self, form: str) -> str:
        word, gender = self.noun.french[:2]
        feminine = gender == "f"
        one = self._phrase(word, feminine=feminine, plural=gender == "p")
        many = self._phrase(self.noun.french[-1], feminine=feminine, plural=True) if len(self.noun.french) > 2 else one
        an = "une" if feminine else "un"
        the = "l'" if _elides(one) else "la " if feminine else "le "
        of_the = "des " if gender == "p" else "du " if the == "le " else f"de {the}"
        before = self.adjective is not None and self.adjective.before
        return {
            "+i": "e" if feminine else "",
            "s": one,
            "i": f"{an} {one}",
            "di": f"d'{an} {one}",
            "d": the + one,
            "dd": of_the + one,
            "part": of_the + one,
            "ds": ("d'" if _elides(one) else "de ") + one,
            "dp": ("d'" if _elides(many) else "de ") + many,
            "p": ("de " if before else "des ") + many,
            "q": f"{self.number[3]} {many}",
        }[form]

    def _phrase(self, noun: str, *, feminine: bool, plural: bool) -> str:
        if self.adjective is None:
            return noun
        adjective = self.adjective.french[feminine + 2 * plural]
        return f"{adjective} {noun}" if self.adjective.before else f"{noun} {adjective}"


@dataclass(frozen=True)
class Template:
    """A caption in the three languages, and the class of the noun in each of its slots."""

    classes: tuple[str, ...]
    english: str
    german: str
    french: str


def main() -> None:
    """Write a table of pairs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", choices=["de", "fr"], required=True)
    parser.add_argument("--each", type=int, default=16, help="captions of each noun")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    column = 1 if options.to == "de" else 2
    rows = dict.fromkeys(make_captions(options.each, options.seed))
    lines = (f"{row[0]}\t{row[column]}\n" for row in rows)
    options.output.write_text("".join(lines), encoding="utf-8")


def make_captions(each: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """`each` captions of every noun in English, German and French."""
    nouns, adjectives, templates = read_nouns(), _read_adjectives(), _read_templates()
    places = defaultdict(list)
    for template in templates:
        for place, kind in enumerate(template.classes):
            places[kind].append((template, place))
    draw = random.Random(seed)
    for kind, group in nouns.items():
        for noun in group:
            for _ in range(each):
                template, place = draw.choice(places[kind])
                yield _fill(template, place, noun, nouns, adjectives, draw)


def _fill(
    template: Template,
    place: int,
    noun: Noun,
    nouns: dict[str, list[Noun]],
    adjectives: dict[str, list[Adjective]],
    draw: random.Random,
) -> tuple[str, str, str]:
    used = {noun.german[0]}
    phrases = []
    for slot, kind in enumerate(template.classes):
        chosen = noun
        if slot != place:
            chosen = draw.choice([each for each in nouns[kind] if each.german[0] not in used])
            used.add(chosen.german[0])
        bare = f"{{{slot}:s}}" in template.english or kind not in adjectives or draw.random() >= 0.35
        phrases.append((chosen, None if bare else draw.choice(adjectives[kind]), draw.choice(NUMBERS)))
    english = template.english.format(*(English(*each) for each in phrases))
    german = template.german.format(*(German(*each) for each in phrases))
    french = template.french.format(*(French(*each) for each in phrases))
    return _capital(english), _capital(german), _capital(french)


def _lines(name: str) -> Iterator[list[str]]:
    """The cells of each line, parted by bars."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield [cell.strip() for cell in line.split("|")]


def _words(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(","))


def read_nouns() -> dict[str, list[Noun]]:
    """The nouns by class."""
    nouns: dict[str, list[Noun]] = {}
    group: list[Noun] = []
    for cells in _lines("nouns.txt"):
        if len(cells) == 1:
            group = nouns.setdefault(cells[0], [])
        else:
            group.append(Noun(*map(_words, cells)))
    return nouns


def _read_adjectives() -> dict[str, list[Adjective]]:
    adjectives = defaultdict(list)
    for kinds, english, german, french, *before in _lines("adjectives.txt"):
        for kind in kinds.split():
            adjectives[kind].append(Adjective(english, german, _words(french), bool(before)))
    return adjectives


def _read_templates() -> list[Template]:
    return [Template(tuple(kinds.split()), *texts) for kinds, *texts in _lines("templates.txt")]


def _elides(word: str) -> bool:
    return word[0] in "aeiouhéèêâîôœ" and not word.startswith(ASPIRATED)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    main()
