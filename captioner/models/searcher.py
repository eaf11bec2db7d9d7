"""Reads sentences and ranks photos of an index, without PyTorch: importing it would take longer than the search itself.

The equations are those of `SearchNetwork` and `CaptionDecoder`, whose answers these are (a test compares them). Photos
come as an index keeps them: a vector, and what `packed` holds.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import ModelError
from captioner.models.base import kind_of, read_weight_arrays
from captioner.models.packed import PackedShape, unpack
from captioner.models.search_config import SEARCH_FILES, SHARE, SearchConfig, read_search_config
from captioner.text.english import to_sentence
from captioner.text.vocabulary import Vocabulary
from captioner.weights import Arrays, read_arrays

Floats = NDArray[np.float32]
State = tuple[Floats, ...]


@dataclass(frozen=True)
class Fit:
    """How a sentence fits photos.

    Attributes:
        gains: (photos,), log p(sentence | photo) less a share of log p(sentence).
        attention: (photos, tokens, regions), where the decoder looked before each token; None without attention.
    """

    gains: Floats
    attention: Floats | None


class Searcher:
    """The two parts of a captioner's search.

    Args:
        shape: the decoder's part of `config.json`.
        decoder: its tensors.
        vocabulary: its words.
        config: of the quick part; None without one.
        quick: its tensors.
    """

    def __init__(
        self,
        shape: dict[str, Any],
        decoder: Arrays,
        vocabulary: Vocabulary,
        config: SearchConfig | None = None,
        quick: Arrays | None = None,
    ) -> None:
        self.shape, self.decoder, self.vocabulary, self.config, self.quick = shape, decoder, vocabulary, config, quick
        self.embedding = decoder["embedding.weight"]
        self._scale = math.sqrt(self.embedding.shape[1])
        self._network = _Network(shape.get("unit", "lstm"), decoder)

    @classmethod
    def load(cls, folder: Path) -> "Searcher":
        """Read a photo captioner's folder.

        Raises:
            ModelError: it is none, or its files are damaged or do not fit together.
        """
        if kind_of(folder) != "caption":
            raise ModelError(f"{folder}: is no photo captioner, and only these find photos; use photos.")
        shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))["decoder"]
        tensors = read_weight_arrays(folder)
        decoder = {name.removeprefix("decoder."): value for name, value in tensors.items() if "decoder." in name}
        config = read_search_config(folder)
        quick = None if config is None else read_arrays(folder / SEARCH_FILES[1])
        try:
            return cls(shape, decoder, Vocabulary.load(folder / "vocabulary.json"), config, quick)
        except (KeyError, ValueError) as error:
            raise ModelError(f"{folder}: tensor {error} is missing; copy the whole model folder again.") from error

    @cached_property
    def attends(self) -> bool:
        """Whether the decoder looks at regions."""
        return "attention.query.weight" in self.decoder

    def vector(self, ids: Sequence[int]) -> Floats:
        """The unit vector (size,) of a sentence, for the quick part.

        Raises:
            ModelError: this captioner has none.
        """
        if self.config is None or self.quick is None:
            raise ModelError("this captioner has no quick part of a search.")
        network = _Network(self.config.unit, self.quick)
        state = network.zeros(1)
        strongest: Floats = np.full((1, self.config.hidden_size), -1, np.float32)
        for token in (*ids, Vocabulary.end):
            output, state = network.step(self.embedding[token : token + 1] * self._scale, state)
            strongest = np.maximum(strongest, output)
        vector = (strongest @ self.quick["sentence.weight"].T)[0]
        unit: Floats = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return unit

    def fit(self, shape: PackedShape, photos: Sequence[bytes], ids: Sequence[int], share: float = SHARE) -> Fit:
        """How a sentence fits photos.

        Args:
            shape: of the packed photos.
            photos: packed.
            ids: of the sentence's tokens.
            share: of log p(sentence).
        """
        summaries, regions = unpack(shape, photos)
        found, attention = self._log_probs(summaries, regions, ids)
        prior = self._log_probs(None, None, ids)[0] if share else 0.0
        return Fit(found - share * prior, attention)

    def write(self, shape: PackedShape, photos: Sequence[bytes], longest: int = 18) -> list[str]:
        """A caption of each photo, word by word the most probable one."""
        summaries, regions = unpack(shape, photos)
        state, looked = self._begin(summaries), self._regions(regions)
        tokens: NDArray[np.int64] = np.full(len(photos), Vocabulary.start)
        written: NDArray[np.int64] = np.full((len(photos), longest), Vocabulary.end)
        for place in range(longest):
            hidden, state = self._network.step(self.embedding[tokens] * self._scale, state)
            scores = self._logits(self._read_out(hidden, looked, summaries)[0])
            scores[:, [Vocabulary.pad, Vocabulary.start, Vocabulary.unk]] = -np.inf
            if place == 0:
                scores[:, Vocabulary.end] = -np.inf
            tokens = scores.argmax(1)
            tokens[(written[:, :place] == Vocabulary.end).any(1)] = Vocabulary.end
            written[:, place] = tokens
        return [to_sentence(self.vocabulary.decode(row)) for row in written.tolist()]

    def _log_probs(
        self, summaries: Floats | None, regions: Floats | None, ids: Sequence[int]
    ) -> tuple[Floats, Floats | None]:
        """log p(sentence | photo), the end included, and the attention."""
        state, looked = self._begin(summaries), self._regions(regions)
        readouts, attention = [], []
        for token in (Vocabulary.start, *ids):
            hidden, state = self._network.step(self.embedding[token : token + 1] * self._scale, state)
            readout, weights = self._read_out(hidden, looked, summaries)
            readouts.append(readout)
            attention.append(weights)
        scores = self._logits(np.stack(readouts, 1))  # (photos, steps, words): one product for all steps
        right = scores[:, np.arange(len(ids) + 1), [*ids, Vocabulary.end]]
        highest = scores.max(-1, keepdims=True)
        scores -= highest
        whole = np.log(np.exp(scores, out=scores).sum(-1)) + highest[..., 0]
        looked_at = None if attention[0] is None else np.stack([each for each in attention if each is not None], 1)
        return (right - whole).sum(-1), looked_at

    def _begin(self, summaries: Floats | None) -> State:
        """The state after the picture; after nothing for None."""
        inputs: Floats = np.zeros((1, self.embedding.shape[1]), np.float32) if summaries is None else summaries
        if summaries is not None and self.shape.get("content_vector"):
            inputs = self._linear("image_projection", summaries)
        return self._network.step(inputs, self._network.zeros(len(inputs)))[1]

    def _regions(self, regions: Floats | None) -> tuple[Floats, Floats] | None:
        """Keys (photos, heads, width, regions) and values (photos, heads, regions, width)."""
        if regions is None or not self.attends:
            return None
        hidden = self.decoder["attention.query.weight"].shape[0]
        parts = regions[..., :hidden].reshape(*regions.shape[:2], self.shape.get("heads", 8), -1)
        return np.ascontiguousarray(parts.transpose(0, 2, 3, 1)), np.ascontiguousarray(parts.transpose(0, 2, 1, 3))

    def _read_out(
        self, hidden: Floats, looked: tuple[Floats, Floats] | None, summaries: Floats | None
    ) -> tuple[Floats, Floats | None]:
        """What predicts the next word (photos, width), and the attention (photos, regions)."""
        weights = None
        if self.attends:
            attended = np.zeros_like(hidden)
            if looked is not None:
                keys, values = looked
                query: Floats = hidden @ self.decoder["attention.query.weight"].T
                query = query.reshape(len(hidden), keys.shape[1], 1, -1)
                scores: Floats = query @ keys / math.sqrt(keys.shape[2])
                scores = np.exp(scores - scores.max(-1, keepdims=True))
                scores /= scores.sum(-1, keepdims=True)
                attended, weights = (scores @ values).reshape(len(hidden), -1), scores.mean((1, 2))
            hidden = np.concatenate([hidden, attended], -1)
        readout = self._linear("output_projection", hidden)
        if summaries is not None and self.shape.get("content_vector"):
            return np.tanh(readout + summaries @ self.decoder["inner.weight"].T) + summaries, weights
        return np.tanh(readout), weights

    def _logits(self, readout: Floats) -> Floats:
        scores: Floats = readout @ self.embedding.T + self.decoder["bias"]
        return scores

    def _linear(self, name: str, inputs: Floats) -> Floats:
        outputs: Floats = inputs @ self.decoder[f"{name}.weight"].T + self.decoder[f"{name}.bias"]
        return outputs


class _Network:
    """A recurrent network one step at a time; see `captioner.recurrent.units.Recurrent`.

    Args:
        unit: `tanh`, `lstm` or `gru`.
        tensors: that of the network are named as `Recurrent` names them.
    """

    def __init__(self, unit: str, tensors: Arrays) -> None:
        self.unit = unit
        self.layers: list[list[Floats]] = []
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        while f"recurrent.network.weight_ih_l{len(self.layers)}" in tensors:
            self.layers.append([tensors[f"recurrent.network.{name}_l{len(self.layers)}"] for name in names])
        if not self.layers:
            raise KeyError("recurrent.network.weight_ih_l0")

    def zeros(self, count: int) -> State:
        """The state before anything: of each layer `h`, and for an LSTM `c` after it."""
        parts = 2 if self.unit == "lstm" else 1
        return tuple(np.zeros((count, layer[1].shape[1]), np.float32) for layer in self.layers for _ in range(parts))

    def step(self, inputs: Floats, state: State) -> tuple[Floats, State]:
        """The last layer's output (count, hidden_size) and the new state, of one input for all or one each."""
        parts = len(state) // len(self.layers)
        new: list[Floats] = []
        for place, (weight, recurrent, bias, recurrent_bias) in enumerate(self.layers):
            old = state[place * parts : (place + 1) * parts]
            product = old[0] @ recurrent.T + recurrent_bias
            new += _CELLS[self.unit](inputs @ weight.T + bias, product, old)
            inputs = new[place * parts]
        return inputs, tuple(new)


def _sigmoid(values: Floats) -> Floats:
    tanh: Floats = np.tanh(0.5 * values)
    return 0.5 * tanh + 0.5


def _tanh(inputs: Floats, product: Floats, _: State) -> State:
    return (np.tanh(inputs + product),)


def _lstm(inputs: Floats, product: Floats, old: State) -> State:
    enter, forget, candidate, leave = np.split(inputs + product, 4, axis=-1)
    cell = _sigmoid(forget) * old[1] + _sigmoid(enter) * np.tanh(candidate)
    return _sigmoid(leave) * np.tanh(cell), cell


def _gru(inputs: Floats, product: Floats, old: State) -> State:
    (reset, update, candidate), (reset_hh, update_hh, candidate_hh) = np.split(inputs, 3, -1), np.split(product, 3, -1)
    update = _sigmoid(update + update_hh)
    candidate = np.tanh(candidate + _sigmoid(reset + reset_hh) * candidate_hh)
    return (candidate + update * (old[0] - candidate),)


_CELLS = {"tanh": _tanh, "lstm": _lstm, "gru": _gru}
