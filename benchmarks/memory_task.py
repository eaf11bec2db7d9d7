"""The adding problem over 10 to 500 steps: how far back each unit remembers, as a table and a figure.

    python benchmarks/memory_task.py -o memory.png

One network of each unit learns it on longer and longer sequences, with the same number of updates at each length.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from captioner.errors import CaptionerError
from captioner.recurrent.memory_task import LENGTHS, Outcome, learn_adding
from captioner.recurrent.units import UNITS

COLOURS = {"mlp": "tab:gray", "tanh": "tab:red", "lstm": "tab:blue", "gru": "tab:green"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", nargs="+", default=UNITS)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--updates", type=int, default=1000, help="at each length")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("-o", "--output", type=Path, help="figure, .png, .svg or .pdf")
    parser.add_argument("--json", type=Path, help="all numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)  # products this small gain nothing from more
    outcomes: dict[tuple[str, int], list[Outcome]] = {}
    try:
        for seed in options.seeds:
            for unit in options.units:
                for outcome in learn_adding(unit, options.lengths, updates=options.updates, seed=seed):
                    outcomes.setdefault((unit, outcome.steps), []).append(outcome)
                    print(f"{unit} T={outcome.steps}: {outcome.success:.3f}", file=sys.stderr, flush=True)
    except CaptionerError as error:
        sys.exit(str(error))
    success = {key: sum(each.success for each in found) / len(found) for key, found in outcomes.items()}
    print(f"| T | {' | '.join(options.units)} |\n| ---: |{' ---: |' * len(options.units)}")
    for steps in options.lengths:
        print(f"| {steps} | " + " | ".join(f"{success[unit, steps]:.2f}" for unit in options.units) + " |")
    seconds = {
        unit: sum(each.seconds for key in outcomes if key[0] == unit for each in outcomes[key])
        for unit in options.units
    }
    print("seconds: " + ", ".join(f"{unit} {value:.0f}" for unit, value in seconds.items()))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for found in outcomes.values() for each in found], indent=2))
    if options.output:
        draw(success, options.units, options.lengths, options.output)


def draw(success: dict[tuple[str, int], float], units: list[str], lengths: list[int], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for unit in units:
        values = [success[unit, steps] for steps in lengths]
        axes.plot(lengths, values, marker="o", color=COLOURS[unit], label=unit)
    axes.axhline(0.08, color="black", linewidth=0.8, linestyle=":")
    axes.text(lengths[-1], 0.09, "guessing", ha="right", va="bottom", fontsize=8)
    axes.set(
        xscale="log",
        xticks=lengths,
        xticklabels=lengths,
        ylim=(0, 1.03),
        xlabel="steps T",
        ylabel="sums right within 0.04",
        title="The adding problem",
    )
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
