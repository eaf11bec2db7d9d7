"""Language models: what scores and continues text, and its folder (network: `language_network`).

Text is one stream of words in which `<end>` closes every line; `<end>` is also what a first line's first word follows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from captioner.decoding.search import DecodingConfig, search
from captioner.decoding.steps import Rows
from captioner.errors import ModelError, UsageError
from captioner.models.base import read_config, read_weights, write_model
from captioner.models.language_network import LanguageNetwork, NetworkConfig
from captioner.recurrent.units import State
from captioner.text.english import to_sentence
from captioner.text.ptb import tokenize
from captioner.text.vocabulary import Vocabulary
from captioner.weights import Weights, check_fit

# words read in one call: long enough that the calls cost nothing, short enough that the scores fit in a cache
CHUNK = 256

Tokens = Literal["words", "captions", "characters"]


class LanguageConfig(BaseModel):
    """What a language model's `config.json` holds.

    Attributes:
        tokens: what words are: `words` between white space, as written; those of `captions`, in lower case, without
            punctuation, as the official COCO scorer cuts them; or single `characters`, spaces among them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["language"] = "language"
    purpose: str = "predicts the next word"
    scores: dict[str, dict[str, float]] = {}
    tokens: Tokens = "words"
    network: NetworkConfig


@dataclass(frozen=True)
class TextScore:
    """How well a text is predicted.

    Attributes:
        log_probability: of all its tokens, natural logarithm.
        tokens: words and line ends.
        unknown: words that were read and predicted as `<unk>`, those written so among them.
    """

    log_probability: float
    tokens: int
    unknown: int

    @property
    def perplexity(self) -> float:
        """The inverse of the geometric mean of the tokens' probabilities."""
        return math.exp(-self.log_probability / self.tokens)

    def __add__(self, other: "TextScore") -> "TextScore":
        return TextScore(
            self.log_probability + other.log_probability, self.tokens + other.tokens, self.unknown + other.unknown
        )


@dataclass(frozen=True)
class Generated:
    """A line as it was drawn.

    Attributes:
        text: the line, its prompt included.
        score: mean log-probability of the words after the prompt and of the end.
    """

    text: str
    score: float


_JOIN: dict[Tokens, Callable[[Sequence[str]], str]] = {
    "words": " ".join,
    "captions": to_sentence,
    "characters": "".join,
}


def split_words(line: str, tokens: Tokens) -> list[str]:
    """The words of a line, as a model with such tokens reads them."""
    if tokens == "characters":
        return list(line)
    return line.split() if tokens == "words" else tokenize(line)


class LanguageModel:
    """A trained language model.

    Args:
        config: as in `config.json`.
        vocabulary: the words it knows.
        network: predicts the next one.
        device: `cpu` or a CUDA device.
        name: for messages.
    """

    def __init__(
        self,
        config: LanguageConfig,
        vocabulary: Vocabulary,
        network: LanguageNetwork,
        device: str | torch.device = "cpu",
        name: str = "",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.network = network.to(device).eval()
        self.name = name

    @classmethod
    def build(cls, config: LanguageConfig, vocabulary: Vocabulary) -> "LanguageModel":
        """A model that has learnt nothing yet."""
        return cls(config, vocabulary, LanguageNetwork(config.network, len(vocabulary)))

    @property
    def device(self) -> torch.device:
        """Where the network is, which training moves."""
        return self.network.bias.device

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu", name: str = "") -> "LanguageModel":
        """Read a model folder.

        Raises:
            ModelError: a file is missing or damaged, or the files do not fit together.
        """
        config = read_config(folder, LanguageConfig)
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        path = folder / "model.safetensors"
        weights = read_weights(folder)
        found = weights.get("embedding.weight")
        if found is not None and len(found) != len(vocabulary):
            raise ModelError(
                f"{folder}: model.safetensors has an embedding of {len(found)} words, but vocabulary.json has "
                f"{len(vocabulary)}; the two come from different trainings. Copy the whole model folder again."
            )
        network = LanguageNetwork(config.network, len(vocabulary))
        check_fit(weights, network.state_dict(), path)
        network.load_state_dict(weights)
        return cls(config, vocabulary, network, device, name or folder.name)

    def save(self, folder: Path, card: str) -> None:
        """Write a model folder: configuration, weights as float16, vocabulary and the model card (`README.md`)."""
        write_model(folder, self.config, self.weights(), card)
        self.vocabulary.save(folder / "vocabulary.json")

    def weights(self) -> Weights:
        """All tensors, under the names they have in `model.safetensors`."""
        return dict(self.network.state_dict())

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """The ids of each line's words and its end; one string is one line."""
        lines = [lines] if isinstance(lines, str) else lines
        return [[*self.vocabulary.encode(split_words(line, self.config.tokens)), self.vocabulary.end] for line in lines]

    @torch.inference_mode()
    def score_text(self, lines: Sequence[str]) -> TextScore:
        """Score lines as one text: each word is predicted from all that stand before it."""
        return self.score_stream(torch.tensor([id for line in self.encode(lines) for id in line])[None])

    @torch.inference_mode()
    def score_stream(self, ids: Tensor) -> TextScore:
        """Score streams of words (streams, words) side by side, each from its own beginning."""
        total, state = 0.0, None
        tokens = torch.cat([torch.full((len(ids), 1), self.vocabulary.end), ids], 1).to(self.device)
        for first in range(0, ids.shape[1], CHUNK):
            read = tokens[:, first : first + CHUNK + 1]
            readout, state = self.network(read[:, :-1], state)
            total += float(self._log_probs(readout, read[:, 1:]).sum(dtype=torch.float64))
        return TextScore(total, ids.numel(), int((ids == self.vocabulary.unk).sum()))

    @torch.inference_mode()
    def score_lines(self, lines: Sequence[str], batch_size: int = 64) -> list[TextScore]:
        """Score each line on its own, as if nothing stood before it."""
        encoded = self.encode(lines)
        scores: dict[int, TextScore] = {}
        order = sorted(range(len(encoded)), key=lambda line: len(encoded[line]))
        for first in range(0, len(order), batch_size):
            places = order[first : first + batch_size]
            batch = [torch.tensor([self.vocabulary.end, *encoded[place]]) for place in places]
            tokens = nn.utils.rnn.pad_sequence(batch, batch_first=True).to(self.device)
            readout, _ = self.network(tokens[:, :-1])
            log_probs = self._log_probs(readout, tokens[:, 1:]).masked_fill(tokens[:, 1:] == self.vocabulary.pad, 0)
            unknown = (tokens[:, 1:] == self.vocabulary.unk).sum(1)
            for place, total, count in zip(places, log_probs.sum(1).tolist(), unknown.tolist(), strict=True):
                scores[place] = TextScore(total, len(encoded[place]), count)
        return [scores[line] for line in range(len(encoded))]

    def _log_probs(self, readout: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities (batch, steps) of the targets."""
        logits = self.network.logits(readout).float()
        return logits.gather(-1, targets[..., None]).squeeze(-1) - logits.logsumexp(-1)

    @torch.inference_mode()
    def generate(self, prompt: str, options: DecodingConfig) -> list[Generated]:
        """Continue a line up to its end.

        Args:
            prompt: its first words; empty to draw whole lines.
            options: how to choose words, and how many lines.

        Returns:
            `options.num_captions` lines, the most probable continuation first.

        Raises:
            UsageError: the model knows no word of the prompt.
        """
        words = split_words(prompt, self.config.tokens)
        ids = self.vocabulary.encode(words)
        if ids and set(ids) == {self.vocabulary.unk}:
            raise UsageError(f"prompt: {self.name} knows none of the words {prompt!r}; use other ones.")
        state = self.network.start(1)
        read = [self.vocabulary.end, *ids]
        if ids:
            _, state = self.network(torch.tensor([read[:-1]], device=self.device))
        found = search(_Continued(self.network, read[-1]), state, {}, options)[0]
        lines = []
        for hypothesis in found:
            drawn = self.vocabulary.decode(hypothesis.tokens)
            text = _JOIN[self.config.tokens]([*words, *drawn])
            lines.append(Generated(text, hypothesis.log_probability / (len(drawn) + 1)))
        return lines


@dataclass(frozen=True)
class _Continued:
    """A language model as a search's model, begun in the middle of a line."""

    network: LanguageNetwork
    last: int

    def step(self, tokens: Tensor, state: State, context: dict[str, Tensor], rows: Rows) -> tuple[Tensor, State, None]:
        """Read `last` where the search reads `<start>`."""
        return self.network.step(tokens.masked_fill(tokens == Vocabulary.start, self.last), state, context, rows)
