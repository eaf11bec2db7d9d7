"""What the searches share: the model that they step, their options and results, and selecting rows of tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from captioner.errors import ModelError, UsageError
from captioner.text.vocabulary import SPECIALS, Vocabulary

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Rows:
    """Which of the hypotheses of some images are stepped together, a row each.

    Attributes:
        images: B, how many.
        beams: K, places for hypotheses of each.
        places: (N,), where each row's hypothesis stands among all B * K; None where every place has a row, in order.
    """

    images: int
    beams: int
    places: Tensor | None = None

    def pick(self, values: Tensor) -> Tensor:
        """(B, K, ...) -> (N, ...)."""
        flat = values.flatten(0, 1)
        return flat if self.places is None else flat.index_select(0, self.places)

    def spread(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """(N, ...) -> (B, K, ...), `fill` where there is no row."""
        if self.places is not None:
            empty = values.new_full((self.images * self.beams, *values.shape[1:]), fill)
            values = empty.index_copy_(0, self.places, values)
        return values.unflatten(0, (self.images, self.beams))

    def of_images(self, values: Tensor) -> Tensor:
        """(B, ...) -> (N, ...), what each row's image has."""
        if self.places is None:
            return values.repeat_interleave(self.beams, 0)
        return values.index_select(0, self.places // self.beams)

    def find(self, beams: Tensor) -> Tensor:
        """The rows (B, M) of some of each image's hypotheses, given by their places (B, M) among the image's own; of
        one that has no row, any."""
        firsts = torch.arange(self.images, device=beams.device) * self.beams
        among_all = beams + firsts.unsqueeze(1)
        if self.places is None:
            return among_all
        rows = self.places.new_zeros(self.images * self.beams)
        rows[self.places] = torch.arange(len(self.places), device=beams.device)
        return rows[among_all]


class StepModel(Protocol):
    """A recurrent decoder, one step at a time, for N hypotheses of B images at once."""

    def step(
        self, tokens: Tensor, state: Tensors, context: Tensors, rows: Rows
    ) -> tuple[Tensor, Tensors, Tensor | None]:
        """Read one token of each hypothesis and score what may follow.

        Args:
            tokens: (N,) ids.
            state: the recurrent state of each hypothesis, tensors of shape (N, ...). Not to be changed in place.
            context: the features of each image, tensors of shape (B, ...), shared by its hypotheses.
            rows: which hypotheses of which image they are; these may be others in every call.

        Returns:
            logits (N, V), the new state, and attention weights (N, R) or None.
        """
        ...


@dataclass(frozen=True)
class DecodingConfig:
    """How to choose words.

    Attributes:
        method: `beam` for the most probable captions, `sample` for random ones.
        beam_size: hypotheses kept after each word; 1 is greedy search. For `beam` only.
        num_captions: captions wanted for each image, at most `beam_size` with `beam`.
        min_length: words before a caption may end.
        max_length: words after which a caption must end.
        length_penalty: alpha of the score log p / length^alpha, by which finished hypotheses are ranked; the length
            counts the words and the end. 0 ranks by plain probability, which favours short captions; 1 by the mean.
        threshold: log-probability by which an unfinished hypothesis may lie below the `num_captions` best of its image;
            those further below are given up, which saves time. 0 keeps all. For `beam` only.
        no_repeat_ngram: no caption may contain the same n words in a row twice; 0 allows it.
        temperature: divides the logits before sampling; below 1 favours probable words. For `sample` only.
        top_k: sample among the k most probable words; 0 among all.
        top_p: then among the fewest words whose probabilities sum to at least p (Holtzman et al., 2020); 1 among all.
        seed: of the random draws; None draws differently every time.

    Raises:
        UsageError: a value is out of its range; the message names it.
    """

    method: Literal["beam", "sample"] = "beam"
    beam_size: int = 5
    num_captions: int = 1
    min_length: int = 1
    max_length: int = 20
    length_penalty: float = 1.0
    threshold: float = 0.0
    no_repeat_ngram: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.method not in ("beam", "sample"):
            raise UsageError(f"method is {self.method!r}; choose beam or sample.")
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise UsageError(f"{name} is {getattr(self, name):g}; it must be at most {most:,}.")
        if self.min_length > self.max_length:
            raise UsageError(f"min_length is {self.min_length}, more than max_length, which is {self.max_length}.")
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}; it must be above 0 (beam_size=1 is greedy search).")
        if self.temperature < 0.0001:  # logits divided by less exceed what float32 holds
            raise UsageError(f"temperature is {self.temperature}; it must be at least 0.0001.")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is {self.top_p}; it must be above 0 and at most 1.")
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed}; it must be a number of 64 bits.")
        if self.method == "beam" and self.num_captions > self.beam_size:
            raise UsageError(
                f"num_captions is {self.num_captions}, but a beam of {self.beam_size} finds at most {self.beam_size}; "
                f"set beam_size to {self.num_captions} or more."
            )
        if self.method == "beam" and (self.temperature != 1 or self.top_k or self.top_p < 1):
            raise UsageError("temperature, top_k and top_p are for sampling; set method to sample to use them.")

    def but(self, **values: Any) -> "DecodingConfig":
        """The same options but for those given; None leaves an option as it is.

        Raises:
            UsageError: a value is out of its range.
        """
        return replace(self, **{name: value for name, value in values.items() if value is not None})


_MOST = {
    "beam_size": 10_000,
    "num_captions": 100_000,
    "min_length": 10_000,
    "max_length": 10_000,
    "length_penalty": 100,
    "threshold": 1_000_000,
    "temperature": 1000,
    "top_k": 2**31,
}
_LEAST = {
    "beam_size": 1,
    "num_captions": 1,
    "min_length": 0,
    "max_length": 1,
    "length_penalty": 0,
    "threshold": 0,
    "no_repeat_ngram": 0,
    "top_k": 0,
}


@dataclass(frozen=True)
class Hypothesis:
    """A caption as a search found it.

    Attributes:
        tokens: ids of its words, without start and end.
        log_probability: the model's own log-probability of the words and the end; neither length normalisation,
            temperature nor masks enter it, so it equals what teacher forcing gives.
        token_log_probabilities: its summands, one a word and one for the end.
        attention: (words, R), the weights from which each word was predicted, where asked for.
        finished: False where `max_length` closed it.
    """

    tokens: tuple[int, ...]
    log_probability: float
    token_log_probabilities: tuple[float, ...]
    attention: Tensor | None
    finished: bool


def to_hypotheses(results: Tensors, max_length: int) -> list[list[Hypothesis]]:
    """Turn a search's tensors, best first, into hypotheses.

    Args:
        results: `score` (B, N), -inf where there is none; `length` (B, N) in words; `total` (B, N), `words` (B, N, T)
            and `each` (B, N, T) as in `Hypothesis`, T above every length; perhaps `attention` (B, N, T, R).
        max_length: at which a hypothesis was closed.

    Raises:
        ModelError: an image has none.
    """
    if not bool((results["score"][:, :1] > -torch.inf).all()):
        raise ModelError("The model's output is not a number: its training diverged, or its weights are damaged.")
    # one transfer of each tensor, not one of each hypothesis
    attention = results["attention"].cpu() if "attention" in results else None
    lists = {name: tensor.tolist() for name, tensor in results.items() if name != "attention"}
    return [
        [
            Hypothesis(
                tokens=tuple(lists["words"][image][place][:length]),
                log_probability=lists["total"][image][place],
                token_log_probabilities=tuple(lists["each"][image][place][: length + 1]),
                attention=None if attention is None else attention[image, place, :length],
                finished=length < max_length,
            )
            for place, length in enumerate(lengths)
            if lists["score"][image][place] > -torch.inf
        ]
        for image, lengths in enumerate(lists["length"])
    ]


def batch_size(tensors: Mapping[str, Tensor]) -> int:
    """B, from any of the tensors."""
    return next(iter(tensors.values())).shape[0]


def take_images(tensors: Tensors, images: Tensor) -> Tensors:
    """Tensors (B, ...) -> (M, ...) for the M images chosen, or hypotheses where each has a row."""
    return {name: tensor.index_select(0, images) for name, tensor in tensors.items()}


def take_beams(tensors: Tensors, beams: Tensor) -> Tensors:
    """Tensors (B, K, ...) -> (B, M, ...) for the beams (B, M) chosen of each image."""
    hypotheses = next((tensor.shape[1] for tensor in tensors.values()), 0)
    firsts = torch.arange(len(beams), device=beams.device) * hypotheses
    rows = (beams + firsts.unsqueeze(1)).flatten()
    return {
        name: tensor.flatten(0, 1).index_select(0, rows).view(*beams.shape, *tensor.shape[2:])
        for name, tensor in tensors.items()
    }


def ban_repeats(logits: Tensor, words: Tensor, length: int) -> None:
    """Make impossible each word that would complete a run of `length` words which its hypothesis already holds.

    Args:
        logits: (..., V), changed in place. A hypothesis that has used up all words may repeat itself.
        words: (..., t), the words so far.
        length: n of the n-grams, at least 1.
    """
    steps = words.shape[-1]
    if steps < length:
        return
    # every run of n-1 words that a word follows, the word that follows it, and the last n-1 words, to be completed now
    runs = words[..., : steps - 1].unfold(-1, length - 1, 1) if length > 1 else words.unsqueeze(-1)[..., :0]
    following = words[..., length - 1 :]
    seen = (runs == words[..., None, steps - length + 1 :]).all(-1)
    few_words = following.shape[-1] >= logits.shape[-1] - len(SPECIALS)
    before = logits.clone() if few_words else None
    # a run that differs points at <pad>, which no search ever chooses
    logits.scatter_(-1, torch.where(seen, following, Vocabulary.pad), -torch.inf)
    if before is not None:
        used_up = logits[..., len(SPECIALS) :].isneginf().all(-1, keepdim=True)
        torch.where(used_up, before, logits, out=logits)
