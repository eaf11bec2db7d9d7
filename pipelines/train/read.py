"""`captioner train` of a reader: from pictures of lines with their texts, or from fonts and words, to a model."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch

from captioner.errors import ConfigError
from captioner.metrics.calibration import Calibration, Reliability, cross_fitted
from captioner.metrics.line_scores import LineScores
from captioner.models.read import ReadConfig, Reader
from captioner.models.read_network import ReaderNetwork
from captioner.training.card import ModelCard
from captioner.training.config import Stage
from captioner.training.loop import Scores
from captioner.training.read.batches import line_loader
from captioner.training.read.card import reader_card
from captioner.training.read.config import ReadStage, ReadTrainingConfig
from captioner.training.read.objective import Ctc
from captioner.training.read.sources import Sources
from captioner.training.read.validation import Answers, are_right, read_lines, score_answers
from captioner.training.record import say
from captioner.training.start import find_init
from captioner.training.training import Training, Work
from captioner.vision.checksums import fingerprint


class ReaderTraining(Training[ReadTrainingConfig, Reader]):
    """Training of a reader; see `Training` for the arguments.

    Raises:
        CaptionerError: the lines, fonts or texts cannot be used.
    """

    metric, unit = "CER", "lines"

    def __init__(self, config: ReadTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> None:
        self.known = None if config.init is None else _known_reader(config, config.init)
        if self.known is not None:
            brought = {"picture": self.known.config.picture, "network": self.known.config.network}
            config = config.model_copy(update=brought)
        super().__init__(config, folder, command, device=device, resume=resume)
        self.sources = Sources.read(config, say, self.known.alphabet if self.known else None)
        self.truths, self.lines = self.sources.validation()
        self.answers = Answers([], [])

    def material(self) -> Iterable[object]:
        """The alphabet, and the lines with their texts."""
        yield self.sources.alphabet.characters
        for lines in (self.sources.learnt, self.sources.held_out):
            yield [(line.path.name, line.text) for line in lines]

    def pictures(self) -> Iterable[object]:
        """Fingerprints of the lines' pictures."""
        return [fingerprint(line.path) for lines in (self.sources.learnt, self.sources.held_out) for line in lines]

    def new_model(self) -> Reader:
        """A reader that has learnt nothing, or the one to go on from."""
        config, sources = self.config, self.sources
        torch.manual_seed(config.seed)
        network = ReaderNetwork(config.network, config.picture.height, len(sources.alphabet))
        if self.known is not None:
            network.load_state_dict(self.known.network.state_dict())
        model_config = ReadConfig(
            purpose=config.purpose,
            picture=config.picture,
            network=config.network,
            tallest=max([1.5, *(line.size[0] / line.size[1] for line in sources.learnt if line.size)]),
        )
        return Reader(model_config, network, sources.alphabet, self.device)

    def prepare(self, stage: Stage, seed: int) -> Work:
        """CTC's loss."""
        assert isinstance(stage, ReadStage)
        network = self.model.network
        network.encoder.to(memory_format=torch.channels_last)
        loader = line_loader(self.sources.items(seed), stage.batch_size, seed)
        return Work(Ctc(network), [{"params": list(network.parameters()), "lr": 1.0}], loader, self.validate)

    def validate(self) -> tuple[float, Scores]:
        """Error rates on the lines that were held out."""
        self.answers = read_lines(self.model.network, self.sources.alphabet, self.lines)
        return score_answers(self.truths, self.answers.texts)

    def write(self, name: str, origin: str, scores: Scores) -> None:
        """Write the model, calibrated, and what it read in the lines that were held out."""
        right, log_probabilities = self._right(), self.answers.log_probabilities
        calibration = Calibration.fit(log_probabilities, right)
        reliability = self._reliability()
        reliability.draw(self.folder / "calibration.png", f"expected calibration error {reliability.error:.3f}")
        confidence = calibration(log_probabilities)
        with (self.folder / "answers.jsonl").open("w", encoding="utf-8") as file:
            for truth, text, score in zip(self.truths, self.answers.texts, confidence.tolist(), strict=True):
                file.write(json.dumps({"truth": truth, "text": text, "score": score}, ensure_ascii=False) + "\n")
        self.model.config = self.model.config.model_copy(update={"calibration": calibration})
        super().write(name, origin, scores)

    def card(self, origin: str, scores: Scores) -> ModelCard:
        """The model card."""
        lines = LineScores.of(self.truths, self.answers.texts)
        learnt = len(self.sources.learnt)
        return reader_card(
            self.config, self.command, self.sources.alphabet, lines, self._reliability(), learnt
        )

    def _right(self) -> list[bool]:
        # words on photographs are right when their letters are; whoever cuts them out does not agree on punctuation
        return are_right(self.truths, self.answers.texts, loosely=self.config.picture.ink == "any")

    def _reliability(self) -> Reliability:
        right = self._right()
        return Reliability.of(cross_fitted(self.answers.log_probabilities, right), right)


def _known_reader(config: ReadTrainingConfig, name: str) -> Reader:
    """The reader to go on from.

    Raises:
        ModelError: there is none.
        ConfigError: it is something else, sees lines otherwise, or has another network.
    """
    known = Reader.load(find_init(name, "read"), "cpu", name)
    for key in ("picture", "network"):
        if key in config.model_fields_set and getattr(known.config, key) != getattr(config, key):
            raise ConfigError(f"init: {name} brings its {key} along; leave {key} out.")
    return known
