"""`captioner train` of a language model: from text to a model folder."""

from functools import partial
from pathlib import Path

import torch

from captioner.data.captions import CaptionSet
from captioner.data.corpora import held_out_photos, read_caption_text
from captioner.data.text import read_text
from captioner.errors import ConfigError
from captioner.models.language import LanguageConfig, LanguageModel, split_words
from captioner.text.vocabulary import Vocabulary
from captioner.training.language.config import LanguageTrainingConfig, TextData
from captioner.training.language.objective import NextWord, line_loader, validate, window_loader
from captioner.training.loop import Run, Scores

Texts = dict[str, list[str]]


def train(config: LanguageTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> Path:
    """Train a language model.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: `auto` or `cpu`.
        resume: continue from the last checkpoint.

    Returns:
        the folder of the finished model.

    Raises:
        DataError: the text cannot be used.
        ConfigError: more streams than there is text for.
    """
    stream = config.data.tokens != "captions"
    lines, texts = _read_text(config.data) if stream else _read_captions(config.data)
    run = Run(
        folder,
        seed=config.seed,
        precision=config.precision,
        checkpoint_steps=config.checkpoint_steps,
        device=device,
        resume=resume,
        metric="perplexity",
    )
    split = [split_words(line, config.data.tokens) for line in lines]
    vocabulary = Vocabulary.build(split, config.data.min_count)
    torch.manual_seed(config.seed)
    network = LanguageConfig(purpose=config.purpose, tokens=config.data.tokens, network=config.network)
    model = LanguageModel.build(network, vocabulary)
    model.network.to(run.accelerator.device)

    encoded, stage = [[*vocabulary.encode(words), vocabulary.end] for words in split], config.stages.language
    words = sum(map(len, encoded))
    if stream:
        if words <= stage.batch_size:
            raise ConfigError(f"stages.language.batch_size is {stage.batch_size}, but the text has only {words} words.")
        ids = torch.tensor([id for line in encoded for id in line])
        loader = window_loader(ids, stage.batch_size, stage.steps, config.seed)
    else:
        loader = line_loader(encoded, stage.batch_size, config.seed)
    objective = NextWord(model.network, stage.batch_size if stream else None)

    def keep(score: float, scores: Scores) -> None:
        model.config = model.config.model_copy(
            update={"scores": {f"{name} valid": each for name, each in scores.items()}}
        )
        model.save(folder / "model", _card(config, command, words, model))

    groups = [{"params": list(model.network.parameters()), "lr": 1.0}]
    check = partial(validate, model, texts, stream=stream)
    run.train("language", 0, stage, objective, groups, loader, check, keep)
    return folder / "model"


def _read_text(data: TextData) -> tuple[list[str], Texts]:
    lines = [line for path in data.train for line in read_text(data.root / path)]
    return lines, {path.name.partition(".txt")[0]: read_text(data.root / path) for path in data.valid}


def _read_captions(data: TextData) -> tuple[list[str], Texts]:
    """Captions to learn from, and those of the val splits, without any photo in both."""
    files = {path: CaptionSet.read(data.root / path) for path in data.valid}
    held_out = {photo for captions in files.values() for photo in held_out_photos(captions)}
    texts = {
        path.name.partition(".")[0]: [text for image in captions.split("val") for text in image.captions]
        for path, captions in files.items()
    }
    return [text for _, text in read_caption_text([data.root / path for path in data.train], held_out)], texts


def _card(config: LanguageTrainingConfig, command: str, words: int, model: LanguageModel) -> str:
    """A model card in Markdown; what a person must add is listed at its end."""
    network, data = config.network, config.data
    parameters = sum(value.numel() for value in model.network.parameters())
    rows = [f"| {name} | {each['perplexity']:.2f} |" for name, each in model.config.scores.items()]
    return "\n".join(
        [
            f"# {config.purpose}",
            "",
            f"- Network: {network.layers} x {network.unit} of {network.hidden_size}, {parameters / 1e6:.1f} million "
            "parameters, input and output embeddings tied.",
            f"- Vocabulary: {len(model.vocabulary)} tokens; rarer than {data.min_count} times is unknown.",
            f"- Learnt from: {words} tokens of {', '.join(path.name for path in data.train)}.",
            f"- Made by: `{command}`",
            "",
            "Perplexity of what also chose this checkpoint"
            + (", read in parallel streams:" if data.tokens != "captions" else ", each caption on its own:"),
            "",
            "| text | perplexity |",
            "| --- | --- |",
            *rows,
            "",
            "Still to be written by whoever publishes this model: the licences of its data, what it is good and bad "
            "at, and the perplexity of a test text.",
            "",
        ]
    )
