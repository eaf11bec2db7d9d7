"""`captioner train` of a reader: from pictures of lines with their texts, or from fonts and words, to a model."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from captioner.errors import ConfigError
from captioner.metrics.calibration import Calibration, Reliability, cross_fitted
from captioner.metrics.line_scores import LineScores
from captioner.models.base import load
from captioner.models.read import ReadConfig, Reader
from captioner.models.read_network import ReaderNetwork
from captioner.training.loop import Run, Scores
from captioner.training.read.batches import line_loader
from captioner.training.read.card import write_card
from captioner.training.read.config import ReadTrainingConfig
from captioner.training.read.objective import Ctc
from captioner.training.read.sources import Sources
from captioner.training.read.validation import Answers, are_right, read_lines, score_answers

console = Console(stderr=True, force_jupyter=False)  # a notebook's own display wants more packages


def train(config: ReadTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> Path:
    """Train a reader.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: `auto` or `cpu`.
        resume: continue from the last checkpoint.

    Returns:
        the model's folder, in the run folder.

    Raises:
        CaptionerError: the lines, fonts or texts cannot be used.
    """
    run = Run(
        folder,
        seed=config.seed,
        precision=config.precision,
        checkpoint_steps=config.checkpoint_steps,
        device=device,
        resume=resume,
        metric="CER",
        unit="lines",
    )
    start = None if config.start is None else _read_start(config)
    sources = Sources.read(config, _say, start.alphabet if start else None)
    truths, lines = sources.validation()
    torch.manual_seed(config.seed)
    network = ReaderNetwork(config.network, config.picture.height, len(sources.alphabet))
    if start is not None:
        network.load_state_dict(start.network.state_dict())
    network.to(run.accelerator.device)
    network.encoder.to(memory_format=torch.channels_last)
    answers = Answers([], [])

    def validate() -> tuple[float, Scores]:
        nonlocal answers
        answers = read_lines(network, sources.alphabet, lines)
        return score_answers(truths, answers.texts)

    def keep(score: float, scores: Scores) -> None:
        _keep(network, sources, folder, command, truths, answers)

    stage = config.stages.read
    groups = [{"params": list(network.parameters()), "lr": 1.0}]
    loader = line_loader(sources.items(), stage.batch_size, config.seed)
    run.train("read", 0, stage, Ctc(network), groups, loader, validate, keep)
    return folder / "model"


def _read_start(config: ReadTrainingConfig) -> Reader:
    """The reader to begin with.

    Raises:
        ModelError: there is none, or it is something else.
        ConfigError: it sees lines otherwise, or has another network.
    """
    start: Reader = load(str(config.start), "cpu", kinds=("read",))
    for key in ("picture", "network"):
        theirs = getattr(start.config, key)
        if theirs != getattr(config, key):
            raise ConfigError(f"start: {config.start} was trained with {key}: {theirs.model_dump()}; give it the same.")
    return start


def _keep(
    network: ReaderNetwork, sources: Sources, folder: Path, command: str, truths: Sequence[str], answers: Answers
) -> None:
    """Write the model with its scores and calibration, and what it read in the lines that were held out."""
    config = sources.config
    # words on photographs are right when their letters are; whoever cuts them out does not agree on punctuation
    right = are_right(truths, answers.texts, loosely=config.picture.ink == "any")
    calibration = Calibration.fit(answers.log_probabilities, right)
    confidence = calibration(answers.log_probabilities)
    reliability = Reliability.of(cross_fitted(answers.log_probabilities, right), right)
    scores = LineScores.of(truths, answers.texts)
    reliability.draw(folder / "calibration.png", f"expected calibration error {reliability.error:.3f}")
    with (folder / "answers.jsonl").open("w", encoding="utf-8") as file:
        for truth, text, score in zip(truths, answers.texts, confidence.tolist(), strict=True):
            file.write(json.dumps({"truth": truth, "text": text, "score": score}, ensure_ascii=False) + "\n")
    model_config = ReadConfig(
        purpose=config.purpose,
        scores={"validation": scores.totals},
        picture=config.picture,
        network=config.network,
        calibration=calibration,
        tallest=max([1.5, *(line.size[0] / line.size[1] for line in sources.learnt if line.size)]),
    )
    card = write_card(config, command, sources.alphabet, scores, reliability, len(sources.learnt))
    Reader(model_config, network, sources.alphabet, network.readout.weight.device).save(folder / "model", card)


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
