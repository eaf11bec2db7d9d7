"""A translator's own translations of captions that have none, to train it on with ("self-training", He et al., 2020).

    python benchmarks/self_training.py runs/a/model captions_val2014.json captions/train.1.en.gz -o DATA/own.tsv
    python benchmarks/self_training.py runs/a/model captions_val2014.json --back runs/de-en/model -o DATA/own.tsv

Reads COCO's files of captions and texts of a sentence a line. Left out are captions without 5 to 22 words, with digits,
or with words that the translator rarely met; and translations that repeat three words or one at once, are 0.6 or 1.5
times as long, are less likely than `--least`, or lack a noun of `configs/caption_pairs/nouns.txt` that the caption has.

A translator of the other direction (`--back`) chooses among all that the beam holds, as a noisy channel (Yee et al.,
2019), by log p(translation | caption) + BACK * log p(caption | translation) + WORD * words. Those from which a piece of
the caption is less likely than `--least-back` on average are left out: most lack something, or say something else.
"""

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from nouns import caption_phrases, read_captions, wanted_nouns

from captioner.models.base import load
from captioner.models.translate import Translator
from captioner.models.translation import Translation
from captioner.text.familiar import unfamiliar_words

TOGETHER = 4000
SCORED = 200  # pairs at a time
BACK, WORD = 0.6, 1.2  # chosen on Multi30k's val and captions_valid.tsv


def main() -> None:
    """Translate and choose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("captions", type=Path, nargs="+")
    parser.add_argument("--most", type=int, default=200_000, help="captions that are translated")
    parser.add_argument("--seed", type=int, default=0, help="which captions, where there are more")
    parser.add_argument("--least", type=float, default=-0.6, help="mean log-probability of a piece")
    parser.add_argument("--beam-size", type=int, default=3)
    parser.add_argument("--back", help="a translator of the other direction")
    parser.add_argument("--least-back", type=float, default=-1.0, help="mean log-probability of a piece of the caption")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    model = load(options.model, "auto", ("translate",))
    familiar = frozenset(model.config.familiar_words.split())
    if not familiar:
        parser.error(f"{options.model} does not tell which words it has met (familiar_words in its config.json).")
    back = load(options.back, "auto", ("translate",)) if options.back else None
    several = options.beam_size if back else 1
    search = replace(model.config.search, beam_size=options.beam_size, num_captions=several)
    wanted = wanted_nouns(model.config.target)
    captions = [each for each in read_captions(options.captions) if _is_usual(each, familiar)]
    random.Random(options.seed).shuffle(captions)
    captions = captions[: options.most]
    kept = 0
    with options.output.open("w", encoding="utf-8") as file:
        for first in range(0, len(captions), TOGETHER):
            part = captions[first : first + TOGETHER]
            hold_up = []
            for caption, every in zip(part, model.generate(part, search), strict=True):
                good = [each for each in every if each.score >= options.least and _holds_up(caption, each.text, wanted)]
                hold_up += [(caption, good)] if good else []
            for caption, text in _best(hold_up, back, options.least_back):
                file.write(f"{caption}\t{text}\n")
                kept += 1
            print(f"{kept:,} of {first + len(part):,} kept, {len(captions):,} in all", flush=True)


def _is_usual(caption: str, familiar: frozenset[str]) -> bool:
    if not 5 <= len(caption.split()) <= 22 or re.search(r"\d", caption):
        return False
    return not unfamiliar_words(caption, "", familiar)


def _best(
    found: Sequence[tuple[str, Sequence[Translation]]], back: Translator | None, least: float
) -> Iterator[tuple[str, str]]:
    """Captions with the translation of each that is chosen."""
    if back is None:
        yield from ((caption, several[0].text) for caption, several in found)
        return
    every = {(each.text, caption) for caption, several in found for each in several}
    pairs = sorted(every, key=lambda pair: len(pair[1]))
    scores: dict[tuple[str, str], float] = {}
    for first in range(0, len(pairs), SCORED):
        some = pairs[first : first + SCORED]
        scores |= zip(some, back.score(*zip(*some, strict=True)), strict=True)
    for caption, several in found:
        chosen = max(
            (each.log_probability + BACK * scores[each.text, caption] + WORD * len(each.text.split()), each.text)
            for each in several
        )[1]
        if scores[chosen, caption] / (len(back.subwords.encode([caption])[0]) + 1) >= least:
            yield caption, chosen


def _holds_up(caption: str, translation: str, wanted: dict[str, set[str]]) -> bool:
    translation = translation.lower()
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
