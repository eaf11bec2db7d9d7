"""How many nouns of photos a translator writes right, by how often its training part has them.

    python benchmarks/nouns.py en-de captions_val2014.json captions_val2017.json --train train.en.gz

Takes captions of COCO that hold a noun of `configs/caption_pairs/nouns.txt`, `--each` for its singular and its
plural, and counts the translations that hold that noun in German or French, in either number, perhaps in a compound.
Another word that would be right as well counts as wrong.
"""

import argparse
import json
import random
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from caption_pairs import read_nouns

from captioner.data.parallel import read_lines, read_table
from captioner.errors import DataError
from captioner.models.base import load

BOUNDS = (0, 1, 2, 4, 8, 16, 32, 64, 128)


def main() -> None:
    """Translate and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("captions", type=Path, nargs="+", help="COCO's captions_*.json")
    parser.add_argument("--each", type=int, default=4)
    parser.add_argument("--train", type=Path, help="sentences that the translator learnt from")
    parser.add_argument("--without", type=Path, help="table whose first column holds captions to leave out")
    parser.add_argument("--show", type=int, default=0, help="that many translations that lack the noun")
    options = parser.parse_args()
    model = load(options.model, "cpu", ("translate",))
    captions = sorted(read_captions(options.captions))
    if options.without is not None:
        learnt = {source for source, _ in read_table(options.without)}
        captions = [each for each in captions if each not in learnt]
    wanted = wanted_nouns(model.config.target)
    draw = random.Random(0)
    draw.shuffle(captions)
    found = defaultdict(list)
    for caption in captions:
        for phrase in caption_phrases(caption):
            if phrase in wanted and len(found[phrase]) < options.each:
                found[phrase].append(caption)
    jobs = [(noun, caption) for noun, several in found.items() for caption in several]
    texts = [each.text for each in model.translate([caption for _, caption in jobs])]
    right = [any(word in text.lower() for word in wanted[noun]) for (noun, _), text in zip(jobs, texts, strict=True)]
    print(f"{len(found)} nouns, {len(jobs)} captions, {sum(right) / len(jobs):.3f} with the noun\n")
    if options.train is not None:
        _table(Counter(phrase for line in read_lines(options.train) for phrase in caption_phrases(line)), jobs, right)
    wrong = [(*job, text) for job, text, is_right in zip(jobs, texts, right, strict=True) if not is_right]
    for noun, caption, text in draw.sample(wrong, min(options.show, len(wrong))):
        print(f"{noun}: {caption} -> {text}")


def _table(counts: Counter[str], jobs: Iterable[tuple[str, str]], right: Iterable[bool]) -> None:
    by_bound = defaultdict(list)
    for (noun, _), is_right in zip(jobs, right, strict=True):
        by_bound[bisect_left(BOUNDS, counts[noun])].append(is_right)
    names = [str(high) if high - low == 1 else f"{low + 1} to {high}" for low, high in pairwise([-1, *BOUNDS])]
    print("| times in the training part | captions | with the noun |\n| --- | --- | --- |")
    for place, name in enumerate([*names, "more"]):
        each = by_bound[place]
        print(f"| {name} | {len(each)} | {sum(each) / max(1, len(each)):.2f} |")


def read_captions(paths: Iterable[Path]) -> list[str]:
    """The captions of COCO's files and of texts, each once, with single spaces."""
    captions: dict[str, None] = {}
    for path in paths:
        if path.suffix == ".json":
            annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]
            captions.update((" ".join(each["caption"].split()), None) for each in annotations)
        else:
            captions.update((line, None) for line in read_lines(path))
    return list(captions)


def wanted_nouns(language: str) -> dict[str, set[str]]:
    """What a translation may hold, by English noun in either number.

    Raises:
        DataError: the nouns are not known in the language.
    """
    if language not in ("de", "fr"):
        raise DataError(f"nouns.txt has German and French, not {language!r}.")
    wanted = defaultdict(set)
    for group in read_nouns().values():
        for noun in group:
            words = noun.german if language == "de" else noun.french
            for english in noun.english:
                wanted[english] |= {words[0].lower(), words[2 if len(words) > 2 else 0].lower()}
    return wanted


def caption_phrases(caption: str) -> set[str]:
    """Its words, and two and three that follow each other, in lower case."""
    words = re.findall(r"[a-z]+", caption.lower())
    return {" ".join(words[first : first + size]) for size in (1, 2, 3) for first in range(len(words) - size + 1)}


if __name__ == "__main__":
    main()
