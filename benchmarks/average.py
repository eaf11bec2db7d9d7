"""One model whose weights are the mean of several fine-tunings of one beginning (Wortsman et al., 2022, "Model soups").

    python benchmarks/average.py runs/a/model runs/b/model -o FOLDER

They must be of one kind, shape and vocabulary. Several runs of one configuration are averaged by its key `runs`;
this is for fine-tunings that differ in settings. The first one's card and choices are kept.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from captioner.models.base import load


def main() -> None:
    """Average and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    first, *others = options.models
    model: Any = load(str(first), "cpu")
    words = (first / "vocabulary.json").read_bytes()
    if any((other / "vocabulary.json").read_bytes() != words for other in others):
        parser.error("the models have different vocabularies, so their weights mean different things.")
    sums = {name: value.double() for name, value in model.weights().items()}
    for other in others:
        for name, value in load(str(other), "cpu").weights().items():
            sums[name] += value
    with torch.no_grad():
        for name, value in model.weights().items():
            value.copy_(sums[name] / len(options.models))
    model.save(options.output, (first / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
