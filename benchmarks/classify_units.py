"""What memory buys: a classifier's units, directions and depths on the same clips, features and folds.

    python benchmarks/classify_units.py configs/fight.yaml data.root=DATA/fight --json runs/units.json

prints a Markdown table. Features are computed once (in `--cache`); every network then learns in seconds. The
configuration's other keys (pooling, sizes, steps) are the same for all; none is chosen by the folds that score it.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from captioner.metrics.classification import ClassificationReport
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork
from captioner.pipelines.train.classify import ClassifierTraining
from captioner.training.classify.fit import fit, fit_projection, predict, read_examples
from captioner.training.config import load_config

SETTINGS = [("mlp", False, 1), ("mlp", False, 2)] + [
    (unit, both, layers) for unit in ("tanh", "lstm", "gru") for both in (False, True) for layers in (1, 2)
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--cache", type=Path, default=Path("runs/units"), help="folder for the clips' features")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    config = load_config(options.config, [*options.overrides, f"data.cache={options.cache}"])
    options.cache.mkdir(parents=True, exist_ok=True)
    training = ClassifierTraining(config, options.cache, "", device="cpu", resume=False)
    parts = training.clips.folds(config.data.folds or 5, config.seed)
    # projections and inputs do not depend on the unit, so each fold makes them once
    prepared = [prepare(training, config.network, part.train, part.test) for part in parts.values()]
    rows = []
    print("| unit | directions | layers | accuracy | 95 % interval | parameters | seconds a fold |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for unit, both, layers in SETTINGS:
        network = config.network.model_copy(update={"unit": unit, "bidirectional": both, "layers": layers})
        started = time.perf_counter()
        report, size = cross_validate(training, network, prepared, list(parts.values()))
        seconds = (time.perf_counter() - started) / len(parts)
        low, high = report.interval
        print(
            f"| {unit} | {2 if both else 1} | {layers} | {report.accuracy:.3f} | {low:.3f} to {high:.3f} | {size:,} "
            f"| {seconds:.1f} |",
            flush=True,
        )
        rows.append({"unit": unit, "directions": 2 if both else 1, "layers": layers, "accuracy": report.accuracy})
        rows[-1] |= {"low": low, "high": high, "parameters": size, "seconds": seconds}
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2) + "\n")


def prepare(training, config, train, test):
    """A fold's fitted projection, and the inputs that it makes of the clips."""
    network = ClassifierNetwork(config, training.encoder.channels, len(training.labels))
    fit_projection(network, training.cache, train)
    read = [read_examples(network, training.cache, clips, training.labels) for clips in (train, test)]
    return network.projection, *read


def cross_validate(training, config: ClassifierConfig, prepared, parts) -> tuple[ClassificationReport, int]:
    true, said, groups, size = [], [], [], 0
    for place, ((projection, train, test), part) in enumerate(zip(prepared, parts, strict=True)):
        torch.manual_seed(training.config.seed + place)
        network = ClassifierNetwork(config, training.encoder.channels, len(training.labels))
        network.projection = projection
        fit(network, train, training.config.stages.fit, training.config.seed + place)
        true += test.labels.tolist()
        said += predict(network, test).argmax(dim=1).tolist()
        groups += [clip.group for clip in part.test]
        size = sum(value.numel() for value in network.members.parameters())
    return ClassificationReport.of(training.labels, true, said, groups), size


if __name__ == "__main__":
    main()
