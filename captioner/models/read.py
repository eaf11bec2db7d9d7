"""Pictures of lines into text: a reader's configuration, and the model that says what stands in a line."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from captioner.decoding.ctc import Beam, Span, align, beam_search, best_spans, log_probabilities
from captioner.errors import ImageError
from captioner.metrics.calibration import Calibration
from captioner.models.base import read_config, read_weights, write_model
from captioner.models.read_network import ReaderConfig, ReaderNetwork
from captioner.models.text_lines import Character, PreparedLine, TextLine
from captioner.processor import multiplies_bfloat16
from captioner.text.alphabet import Alphabet
from captioner.vision.encoder import Precision
from captioner.vision.given import one_or_several, pixels_of
from captioner.vision.images import Pixels
from captioner.vision.line_checks import describe_layout
from captioner.vision.line_engine import LineEngine
from captioner.vision.line_pictures import LineTransform, extend
from captioner.weights import Weights, check_fit, part_of

Picture = Path | str | Image.Image | NDArray[Any]

BATCH = 32  # lines that the recurrent network reads together
_DOUBTFUL = 0.9  # mean probability of the characters below which a line may stand upside down
_CLEARER = 0.1  # by which it must rise when the line is turned


class ReadConfig(BaseModel):
    """What a reader's `config.json` holds.

    Attributes:
        kind: of the model.
        purpose: one line for `captioner models`.
        scores: by data set and metric.
        picture: how a line becomes the network's input.
        network: its sizes and choices.
        precision: of the arithmetic on a CPU that multiplies bfloat16; others use float32.
        calibration: makes a text's probability one that means what it says.
        tallest: the greatest height of a picture as a multiple of its width; a taller one is no upright line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["read"] = "read"
    purpose: str = "reads text lines"
    scores: dict[str, dict[str, float]] = {}
    picture: LineTransform = Field(default_factory=lambda: LineTransform.model_validate({}))
    network: ReaderConfig = Field(default_factory=lambda: ReaderConfig.model_validate({}))
    precision: Precision = "bfloat16"
    calibration: Calibration = Calibration()
    tallest: float = 1.5


class Reader:
    """A trained model that reads text lines.

    Args:
        config: as in `config.json`.
        network: CNN and recurrent network.
        alphabet: of its classes.
        device: `cpu` or a CUDA device.
        name: for messages.
    """

    def __init__(
        self,
        config: ReadConfig,
        network: ReaderNetwork,
        alphabet: Alphabet,
        device: str | torch.device = "cpu",
        name: str = "",
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.alphabet = alphabet
        self.name = name
        self._making = threading.Lock()

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu", name: str = "") -> "Reader":
        """Read a model folder.

        Raises:
            ModelError: a file is missing or damaged, or the files do not fit together.
        """
        config = read_config(folder, ReadConfig)
        alphabet = Alphabet.load(folder / "vocabulary.json")
        path = folder / "model.safetensors"
        tensors = read_weights(folder)
        network = ReaderNetwork(config.network, config.picture.height, len(alphabet))
        check_fit(tensors, {f"network.{key}": value for key, value in network.state_dict().items()}, path)
        network.load_state_dict(part_of(tensors, "network."))
        return cls(config, network, alphabet, device, name or folder.name)

    def save(self, folder: Path, card: str) -> None:
        """Write a model folder: configuration, weights as float16, alphabet and the model card (`README.md`)."""
        write_model(folder, self.config, self.weights(), card)
        self.alphabet.save(folder / "vocabulary.json")

    def weights(self) -> Weights:
        """All tensors, under the names they have in `model.safetensors`."""
        return {f"network.{key}": value for key, value in self.network.state_dict().items()}

    def read(self, pictures: Picture | Sequence[Picture], *, beam: Beam | None = None) -> list[TextLine]:
        """Read pictures of lines.

        Args:
            pictures: paths, Pillow images or arrays, each of one line or word; or one of these.
            beam: how to search; by default each column's likeliest character is taken.

        Raises:
            ImageError: a picture cannot be read, or shows nothing.
        """
        return self.read_prepared([self.prepare(pixels_of(each)) for each in one_or_several(pictures)], beam)

    def prepare(self, picture: Pixels) -> PreparedLine:
        """What the network sees of an RGB picture (height, width, 3).

        Raises:
            ImageError: it shows nothing, or no upright line.
        """
        pixels = self.config.picture(picture)
        layout = describe_layout(picture, self.config.tallest)
        if layout is not None and self.config.picture.ink == "dark":
            raise ImageError(layout)
        # behind words on photographs there is more that looks like lines
        return PreparedLine(pixels, self.config.picture.scaled(*picture.shape[:2]), layout)

    def read_prepared(
        self, lines: Sequence[PreparedLine], beam: Beam | None = None, *, parallel: bool = True
    ) -> list[TextLine]:
        """Read prepared lines; a line of print that reads far better upside down is read so, with a warning.

        Args:
            lines: of any widths.
            beam: how to search; by default each column's likeliest character is taken.
            parallel: see `LineEngine`.
        """
        texts = self._read(lines, beam, parallel)
        # on photographs the other way up is too often another short word: 802 for 208
        print_on_paper = self.config.picture.ink == "dark"
        doubtful = [place for place, text in enumerate(texts) if print_on_paper and _clarity(text) < _DOUBTFUL]
        turned = self._read([_turn(lines[place]) for place in doubtful], beam, parallel)
        for place, text in zip(doubtful, turned, strict=True):
            if _clarity(text) > _clarity(texts[place]) + _CLEARER:
                texts[place] = replace(text, warning=_joined(text.warning, "upside down, so it was turned to be read"))
        return [
            replace(text, warning=_joined(line.warning, text.warning)) for line, text in zip(lines, texts, strict=True)
        ]

    def _read(self, lines: Sequence[PreparedLine], beam: Beam | None, parallel: bool) -> list[TextLine]:
        found = self.log_probs([line.pixels for line in lines], parallel=parallel)
        return self.texts(found, beam, extents=[line.extent / line.pixels.shape[1] for line in lines])

    @property
    def _precision(self) -> Precision:
        """Of the arithmetic: on a CPU that does not multiply bfloat16, float32 is faster too."""
        return self.config.precision if self.device.type != "cpu" or multiplies_bfloat16() else "float32"

    @cached_property
    def _engine(self) -> LineEngine:
        return LineEngine(self.network.encoder, self.config.picture.height, self.device, self._precision)

    def encode(self, lines: Sequence[Pixels], *, parallel: bool = True) -> list[Tensor]:
        """The CNN's columns (columns, features) of each prepared line; safe in several threads."""
        with self._making:
            engine = self._engine
        return engine(lines, parallel=parallel)

    def log_probs(self, lines: Sequence[Pixels], *, parallel: bool = True) -> list[NDArray[np.float32]]:
        """Log-probabilities (columns, classes) of prepared lines (height, width), of any widths.

        Lines of one width are read together by the recurrent network, so that no line's result depends on another.

        Args:
            lines: as `config.picture` prepares them.
            parallel: see `LineEngine`.
        """
        columns = self.encode(lines, parallel=parallel)
        found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(lines)
        widths: dict[int, list[int]] = {}
        for place, each in enumerate(columns):
            widths.setdefault(len(each), []).append(place)
        bfloat16 = self.device.type != "cpu" or self._precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            for places in widths.values():
                for first in range(0, len(places), BATCH):
                    batch = places[first : first + BATCH]
                    logits = self.network.read(torch.stack([columns[place] for place in batch]))
                    values = logits.float().log_softmax(dim=-1).cpu().numpy()
                    for place, value in zip(batch, values, strict=True):
                        found[place] = value
        return found

    def texts(
        self,
        log_probs: Sequence[NDArray[np.float32]],
        beam: Beam | None = None,
        *,
        extents: Sequence[float] | None = None,
    ) -> list[TextLine]:
        """The text of each line's log-probabilities (columns, classes).

        Args:
            log_probs: as `log_probs` gives them.
            beam: how to search; by default each column's likeliest character is taken.
            extents: share of each line's columns that are of the picture itself; all by default.
        """
        if not log_probs:
            return []
        found = [_search(each, beam) for each in log_probs]
        padded = nn.utils.rnn.pad_sequence([torch.from_numpy(each) for each in log_probs], batch_first=True)
        likely = log_probabilities(padded, [each.ids for each in found], [len(each) for each in log_probs])
        scores = self.config.calibration(likely.numpy())
        lines = zip(found, scores, log_probs, extents or [1.0] * len(found), strict=True)
        return [self._text(each, float(score), 1 / (len(rows) * extent)) for each, score, rows, extent in lines]

    def _text(self, found: "_Found", score: float, scale: float) -> TextLine:
        characters = tuple(
            Character(
                self.alphabet.decode([label]),
                span.probability,
                min(span.first * scale, 1.0),
                min((span.last + 1) * scale, 1.0),
            )
            for label, span in zip(found.ids, found.spans, strict=True)
        )
        return TextLine(self.alphabet.decode(found.ids), score, characters, found.warning)


@dataclass(frozen=True)
class _Found:
    """The ids of a text, the columns of each, and what is odd about the search."""

    ids: list[int]
    spans: list[Span]
    warning: str | None = None


def _search(log_probs: NDArray[np.float32], beam: Beam | None) -> _Found:
    """The text of a line's log-probabilities (columns, classes)."""
    if beam is not None:
        ids = beam_search(log_probs, beam)
        if ids is not None:
            return _Found(ids, align(log_probs, ids))
    warning = None if beam is None else "none of the words fits, so it was read without them"
    return _Found(*best_spans(log_probs), warning)


def _turn(line: PreparedLine) -> PreparedLine:
    """The same line turned by half a circle."""
    turned = line.pixels[::-1, line.extent - 1 :: -1] if line.extent else line.pixels
    return replace(line, pixels=extend(turned, line.pixels.shape[1]))


def _joined(*warnings: str | None) -> str | None:
    return "; ".join(filter(None, warnings)) or None


def _clarity(text: TextLine) -> float:
    """The mean probability of a text's characters."""
    return float(np.mean([each.score for each in text.characters])) if text.characters else 0.0
