"""What context buys a reader of text lines: mlp, tanh, lstm and gru, one and two directions, one and two layers.

    python benchmarks/read_units.py FRAKTUR [--model fraktur] [--units lstm gru] [--lines 800] [--epochs 6]

FRAKTUR is a folder with train.tsv and val.tsv. The CNN is that of a trained reader and stays as it is, so every network
reads the same columns; the recurrent network and what reads its states are trained afresh, each for as many epochs.
`mlp` reads every column alone: it is what cutting a line into pieces and classifying each amounts to.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import ctc_loss

from captioner.data.lines import LineSet
from captioner.decoding.ctc import best_path
from captioner.metrics.line_scores import LineScores
from captioner.models.base import load
from captioner.recurrent.units import UNITS, Recurrent
from captioner.vision.images import read_image

BATCH = 16
RATE = 0.004


def read_columns(model, lines):
    """The columns and the ids of lines, by width."""
    widths = {}
    for first in range(0, len(lines), 64):
        some = lines[first : first + 64]
        columns = model.encode([model.config.picture(read_image(line.path)) for line in some])
        for line, each in zip(some, columns, strict=True):
            widths.setdefault(len(each), []).append((each, line.text))
    return widths


def batches(widths, draw):
    """Lines of one width, in random order."""
    found = []
    for lines in widths.values():
        order = draw.sample(lines, len(lines))
        found += [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
    draw.shuffle(found)
    return found


def learn(network, readout, widths, alphabet, epochs):
    """Train on columns."""
    draw = random.Random(0)
    parameters = [*network.parameters(), *readout.parameters()]
    optimizer = torch.optim.AdamW(parameters, RATE)
    total = epochs * len(batches(widths, draw))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total, pct_start=0.1)
    for _ in range(epochs):
        for batch in batches(widths, draw):
            columns = torch.stack([each for each, _ in batch])
            ids = [alphabet.encode(text) for _, text in batch]
            log_probs = readout(network(columns)[0]).log_softmax(-1).transpose(0, 1)
            lengths = torch.tensor([len(each) for each in ids])
            every = torch.tensor([label for each in ids for label in each])
            steps = torch.full((len(batch),), len(log_probs))
            loss = ctc_loss(log_probs, every, steps, lengths, reduction="sum") / max(int(lengths.sum()), 1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 3.0)
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def score(network, readout, widths, alphabet):
    """Scores on columns that were not learnt from."""
    truths, texts = [], []
    for lines in widths.values():
        logits = readout(network(torch.stack([each for each, _ in lines]))[0])
        texts += [alphabet.decode(best_path(row)) for row in logits]
        truths += [text for _, text in lines]
    return LineScores.of(truths, texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="fraktur")
    parser.add_argument("--units", nargs="+", choices=UNITS, default=UNITS)
    parser.add_argument("--lines", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.model, "cpu")
    train, val = (LineSet.read(options.folder / f"{part}.tsv") for part in ("train", "val"))
    chosen = random.Random(0).sample(train.lines, min(options.lines, len(train.lines)))
    learnt, held_out = read_columns(model, chosen), read_columns(model, val.lines)
    print(f"{len(chosen)} lines, {options.epochs} epochs, states of {options.hidden}; CER on {len(val.lines)} lines")
    print("| unit | directions | layers | CER | 95 % interval | seconds |\n| --- | --- | --- | --- | --- | --- |")
    for unit in options.units:
        for layers in (1, 2):
            for bidirectional in (False, True):
                if unit == "mlp" and bidirectional:
                    continue  # it has no direction
                started = time.monotonic()
                torch.manual_seed(0)
                width = model.config.network.features
                network = Recurrent(unit, width, options.hidden, layers, bidirectional=bidirectional)
                readout = nn.Linear(options.hidden * network.directions, len(model.alphabet))
                learn(network.train(), readout, learnt, model.alphabet, options.epochs)
                scores = score(network.eval(), readout, held_out, model.alphabet)
                low, high = scores.intervals()["CER"]
                cells = [unit, network.directions, layers, f"{scores.totals['CER']:.4f}", f"{low:.4f} to {high:.4f}"]
                print("|", *(f"{cell} |" for cell in cells), f"{time.monotonic() - started:.0f} |", flush=True)


if __name__ == "__main__":
    main()
