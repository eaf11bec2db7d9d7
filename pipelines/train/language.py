"""`captioner train` of a language model: from text to a model folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from captioner.data.captions import CaptionSet
from captioner.data.copies import check_apart
from captioner.data.corpora import held_out_photos, read_caption_text
from captioner.data.text import read_text
from captioner.errors import ConfigError
from captioner.models.language import LanguageConfig, LanguageModel, split_words
from captioner.text.vocabulary import Vocabulary
from captioner.training.card import ModelCard
from captioner.training.config import Stage
from captioner.training.language.card import language_card
from captioner.training.language.config import LanguageStage, LanguageTrainingConfig, TextData
from captioner.training.language.objective import NextWord, line_loader, validate, window_loader
from captioner.training.loop import Scores
from captioner.training.start import find_init, take_over, with_words
from captioner.training.training import Training, Work

Texts = dict[str, list[str]]


class LanguageTraining(Training[LanguageTrainingConfig, LanguageModel]):
    """Training of a language model; see `Training` for the arguments.

    Raises:
        DataError: the text cannot be used.
    """

    metric, split = "perplexity", "valid"

    def __init__(
        self, config: LanguageTrainingConfig, folder: Path, command: str, *, device: str, resume: bool
    ) -> None:
        super().__init__(config, folder, command, device=device, resume=resume)
        data = config.data
        self.stream = data.tokens != "captions"
        lines, self.texts = _read_text(data) if self.stream else _read_captions(data)
        split = [split_words(line, data.tokens) for line in lines]
        self.before = None if config.init is None else _language_model(config.init, data)
        if self.before is None:
            self.vocabulary = Vocabulary.build(split, data.min_count)
        else:
            known = self.before.vocabulary
            self.vocabulary = with_words(known, split, data.min_count, known.tokenization)
        self.lines = [[*self.vocabulary.encode(words), self.vocabulary.end] for words in split]
        self.words = sum(map(len, self.lines))

    def material(self) -> Iterable[object]:
        """The text."""
        return self.vocabulary.tokens, self.lines, self.texts

    def new_model(self) -> LanguageModel:
        """The language model to go on from, or an untrained one."""
        torch.manual_seed(self.config.seed)
        network = self.config.network if self.before is None else self.before.config.network
        config = LanguageConfig(purpose=self.config.purpose, tokens=self.config.data.tokens, network=network)
        model = LanguageModel.build(config, self.vocabulary)
        if self.before is not None:
            take_over(model.network, self.before.network)
        model.network.to(self.device)
        return model

    def prepare(self, stage: Stage, seed: int) -> Work:
        """Cross-entropy of each next word.

        Raises:
            ConfigError: more streams than there is text for.
        """
        assert isinstance(stage, LanguageStage)
        network = self.model.network
        if self.stream:
            if self.words <= stage.batch_size:
                raise ConfigError(
                    f"stages.language.batch_size is {stage.batch_size}, but the text has only {self.words} words."
                )
            ids = torch.tensor([id for line in self.lines for id in line])
            loader = window_loader(ids, stage.batch_size, stage.steps, seed)
        else:
            loader = line_loader(self.lines, stage.batch_size, seed)
        objective = NextWord(network, stage.batch_size if self.stream else None)
        return Work(objective, [{"params": list(network.parameters()), "lr": 1.0}], loader, self.validate)

    def validate(self) -> tuple[float, Scores]:
        """Perplexity."""
        return validate(self.model, self.texts, stream=self.stream)

    def card(self, origin: str, scores: Scores) -> ModelCard:
        """The model card."""
        return language_card(self.config, self.command, origin, self.model, self.words, scores)


def _language_model(name: str, data: TextData) -> LanguageModel:
    """The model to go on from.

    Raises:
        ConfigError: it is no language model, or one of other tokens.
        ModelError: there is no such model, or it cannot be read.
    """
    model = LanguageModel.load(find_init(name, "language"), "cpu", name)
    if model.config.tokens != data.tokens:
        tokens = model.config.tokens
        raise ConfigError(f"init: the tokens of {name} are {tokens}; set data.tokens={tokens}.")
    return model


def _read_text(data: TextData) -> tuple[list[str], Texts]:
    check_apart([data.root / path for path in data.train], [data.root / path for path in data.valid])
    lines = [line for path in data.train for line in read_text(data.root / path)]
    return lines, {name: read_text(data.root / path) for name, path in _named(data.valid, ".txt").items()}


def _named(paths: Sequence[Path], end: str) -> dict[str, Path]:
    """Files by the names under which scores are reported, which go up to `end`.

    Raises:
        ConfigError: two have the same one.
    """
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(path.name.partition(end)[0], path)
        if other != path:
            raise ConfigError(f"data.valid: the scores of {other} and {path} would have one name; rename one of them.")
    return named


def _read_captions(data: TextData) -> tuple[list[str], Texts]:
    """Captions to learn from, and those of the val splits, without any photo in both."""
    files = {path: CaptionSet.read(data.root / path) for path in data.valid}
    held_out = {photo for captions in files.values() for photo in held_out_photos(captions)}
    texts = {
        name: [text for image in files[path].split("val") for text in image.captions]
        for name, path in _named(data.valid, ".").items()
    }
    return [text for _, text in read_caption_text([data.root / path for path in data.train], held_out)], texts
