"""Sentences translated by several translators together, to train one translator with (Kim and Rush, 2016).

    python benchmarks/distil.py runs/a/model runs/b/model --text train.1.en.gz train.2.en.gz -o FOLDER

The translators must share their pieces, as those of one configuration with several seeds or sizes do. Each step of the
search reads the mean of their probabilities. FOLDER gets `sentences.txt` and `translations.txt`, line by line alike;
name them as one more pair in `data.train`. With `--references` it prints BLEU.
"""

import argparse
import gzip
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from sacrebleu import corpus_bleu
from torch import Tensor, nn

from captioner.decoding.search import DecodingConfig, search
from captioner.decoding.steps import Rows, Tensors
from captioner.models.base import load
from captioner.models.translate import LIMIT, Translator


class Ensemble:
    """Several decoders as one: a `StepModel` whose scores are the logarithm of the mean of their probabilities."""

    def __init__(self, members: Sequence[Translator]) -> None:
        self.members = members

    def start(self, sentences: Tensor, lengths: Tensor) -> tuple[Tensors, Tensors]:
        """The states and contexts of all members, each name with the member's number before it."""
        states, contexts = Tensors(), Tensors()
        for number, member in enumerate(self.members):
            state, context = member.network.decoder.start(member.network.encode(sentences, lengths))
            states |= {f"{number}.{name}": value for name, value in state.items()}
            contexts |= {f"{number}.{name}": value for name, value in context.items()}
        return states, contexts

    def step(self, tokens: Tensor, state: Tensors, context: Tensors, rows: Rows) -> tuple[Tensor, Tensors, None]:
        """One piece further."""
        scores, states = [], Tensors()
        for number, member in enumerate(self.members):
            mine = f"{number}."
            before, read = (
                {name.removeprefix(mine): value for name, value in each.items() if name.startswith(mine)}
                for each in (state, context)
            )
            logits, after, _ = member.network.decoder.step(tokens, before, read, rows)
            scores.append(logits.float().log_softmax(-1))
            states |= {f"{mine}{name}": value for name, value in after.items()}
        return torch.stack(scores).logsumexp(0) - torch.tensor(len(scores)).log(), states, None


@torch.inference_mode()
def translate(
    members: Sequence[Translator], sentences: Sequence[str], options: DecodingConfig, batch_size: int
) -> list[str]:
    """Translations of sentences by all members together, in their order."""
    ensemble, subwords, device = Ensemble(members), members[0].subwords, members[0].device
    encoded = [ids[:LIMIT] for ids in subwords.encode(sentences)]
    order = sorted((place for place, ids in enumerate(encoded) if ids), key=lambda place: len(encoded[place]))
    found, began = [""] * len(sentences), time.monotonic()
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        lengths = torch.tensor([len(encoded[place]) for place in places])
        padded = nn.utils.rnn.pad_sequence([torch.tensor(encoded[place]) for place in places], batch_first=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu"):
            state, context = ensemble.start(padded.to(device), lengths)
            limited = replace(options, max_length=2 * int(lengths.max()) + 8)
            results = search(ensemble, state, context, limited)
        for place, hypotheses in zip(places, results, strict=True):
            found[place] = subwords.decode(hypotheses[0].tokens)
        if first // batch_size % 20 == 0:
            speed = (first + len(places)) / (time.monotonic() - began)
            print(f"{first + len(places)} of {len(order)}, {speed:.0f} sentences a second", flush=True)
    return found


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, possibly gzipped."""
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()


def main() -> None:
    """Translate the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="files of sentences, a line each")
    parser.add_argument("--references", type=Path, help="translations of the only file of --text, to print BLEU")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args()
    members = [load(name, options.device) for name in options.models]
    pieces = [member.subwords.pieces(range(len(member.subwords))) for member in members]
    if any(each != pieces[0] for each in pieces):
        parser.error("the models do not share their pieces; train them with the same data and data.pieces.")
    sentences = [line for path in options.text for line in read_lines(path)]
    how = replace(members[0].config.search, beam_size=options.beam_size)
    written = translate(members, sentences, how, options.batch_size)
    if options.references is not None:
        print(corpus_bleu(written, [read_lines(options.references)]))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        for name, lines in (("sentences.txt", sentences), ("translations.txt", written)):
            (options.output / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
