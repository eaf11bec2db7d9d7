"""A translator's own translations of captions that have none, to train it on with ("self-training", He et al., 2020).

    python benchmarks/self_training.py runs/a/model captions_val2014.json captions/train.1.en.gz -o DATA/own.tsv

Reads COCO's files of captions and texts of a sentence a line. Left out are captions without 5 to 22 words, with digits,
or with words that the translator rarely met; and translations that repeat three words or one at once, are 0.6 or 1.5
times as long, are less likely than `--least`, or lack a noun of `configs/caption_pairs/nouns.txt` that the caption has.
"""

import argparse
import random
import re
from itertools import pairwise
from pathlib import Path

from nouns import caption_phrases, read_captions, wanted_nouns

from captioner.models.base import load
from captioner.text.familiar import unfamiliar_words

TOGETHER = 4000


def main() -> None:
    """Translate and choose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("captions", type=Path, nargs="+")
    parser.add_argument("--most", type=int, default=200_000, help="captions that are translated")
    parser.add_argument("--least", type=float, default=-0.6, help="mean log-probability of a piece")
    parser.add_argument("--beam-size", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    model = load(options.model, "auto", ("translate",))
    familiar = frozenset(model.config.familiar_words.split())
    if not familiar:
        parser.error(f"{options.model} does not tell which words it has met (familiar_words in its config.json).")
    wanted = wanted_nouns(model.config.target)
    captions = [each for each in read_captions(options.captions) if _is_usual(each, familiar)]
    random.Random(0).shuffle(captions)
    captions = captions[: options.most]
    kept = 0
    with options.output.open("w", encoding="utf-8") as file:
        for first in range(0, len(captions), TOGETHER):
            part = captions[first : first + TOGETHER]
            for caption, found in zip(part, model.translate(part, beam_size=options.beam_size), strict=True):
                if found.score >= options.least and _holds_up(caption, found.text.lower(), wanted):
                    file.write(f"{caption}\t{found.text}\n")
                    kept += 1
            print(f"{kept:,} of {first + len(part):,} kept, {len(captions):,} in all", flush=True)


def _is_usual(caption: str, familiar: frozenset[str]) -> bool:
    if not 5 <= len(caption.split()) <= 22 or re.search(r"\d", caption):
        return False
    return not unfamiliar_words(caption, "", familiar)


def _holds_up(caption: str, translation: str, wanted: dict[str, set[str]]) -> bool:
    words = translation.split()
    threes = list(zip(words, words[1:], words[2:], strict=False))
    if len(set(threes)) < len(threes) or any(one == other for one, other in pairwise(words)):
        return False
    if not 0.6 <= len(words) / len(caption.split()) <= 1.5:
        return False
    nouns = {phrase for phrase in caption_phrases(caption) if phrase in wanted}
    longest = (noun for noun in nouns if not any(noun != other and noun in other for other in nouns))
    return all(any(word in translation for word in wanted[noun]) for noun in longest)


if __name__ == "__main__":
    main()
