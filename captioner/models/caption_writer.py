"""Captions, and what writes them: a decoder's search over features, of photos or of clips, in the model's words."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from captioner.decoding.fusion import ShallowFusion
from captioner.decoding.search import DecodingConfig, Hypothesis, StepModel, search
from captioner.errors import UsageError
from captioner.models.caption_network import CaptionDecoder, ReadyForSearch, SearchDecoder
from captioner.models.language import LanguageModel
from captioner.models.teacher_forcing import teacher_forced, with_own_scores
from captioner.processor import multiplies_bfloat16
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Features, Precision


@dataclass(frozen=True)
class Caption:
    """A caption and how sure the model is of it.

    Attributes:
        text: an ordinary sentence; in English with a capital first and a full stop last.
        score: mean log-probability of the words and the end, at most 0.
        log_probability: their sum.
        tokens: the words as the model said them.
        attention: (tokens, rows, columns), where it looked for each word; each word's weights sum to 1. None if not
            asked for, or if the model has no attention.
        warning: what is wrong with its translation, or "".
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...]
    attention: NDArray[np.float32] | None = None
    warning: str = ""


class CaptionWriter:
    """A trained decoder that writes.

    Args:
        decoder: where it shall compute; further training of it is followed.
        vocabulary: its words.
        precision: of the arithmetic of searches.
    """

    def __init__(self, decoder: CaptionDecoder, vocabulary: Vocabulary, precision: Precision) -> None:
        self.decoder, self.vocabulary, self.precision = decoder, vocabulary, precision
        self._searched = ReadyForSearch(decoder, precision, SearchDecoder)
        self._fuse: Callable[[StepModel], ShallowFusion] | None = None

    @property
    def device(self) -> torch.device:
        """Where the decoder is."""
        return self.decoder.bias.device

    @property
    def searched_decoder(self) -> CaptionDecoder:
        """The decoder in the arithmetic of searches, to read given sentences with."""
        return self._searched().decoder

    @property
    def in_bfloat16(self) -> bool:
        """Whether searches compute in bfloat16."""
        return self.precision == "bfloat16" and (self.device.type != "cpu" or multiplies_bfloat16())

    @property
    def is_fused(self) -> bool:
        """Whether a language model scores words, too."""
        return self._fuse is not None

    def fused(self, language: LanguageModel, weight: float) -> "CaptionWriter":
        """A writer with the same weights that is fused with a language model; see `ShallowFusion`.

        Captions are ranked by the fused score, but what each reports is the decoder's own log-probability.

        Raises:
            UsageError: the weight is negative or no number, or the language model predicts characters.
        """
        if language.config.tokens == "characters":
            raise UsageError("the language model predicts characters; take one of words or captions, such as captions.")
        network = copy.deepcopy(language.network).to(self.searched_decoder.bias)
        other = copy.copy(self)
        other._fuse = partial(
            ShallowFusion,
            language=network,
            begin=network.start(1),
            words=self.vocabulary,
            known=language.vocabulary,
            weight=weight,
        )
        other._fuse(self.decoder)  # a wrong weight is an error here, not in the first search
        return other

    @torch.inference_mode()
    def write(
        self, features: Features, options: DecodingConfig, grid: tuple[int, int] | None = None
    ) -> list[list[Caption]]:
        """Write captions of features.

        Args:
            features: of images or clips.
            options: how to search.
            grid: rows and columns of the features' regions, to say where the decoder looked for each word, too.

        Returns:
            for each image its captions, best first.
        """
        decoder = self._searched()
        slim = features.to(self.device).to(decoder.decoder.bias.dtype)
        bfloat16 = self.in_bfloat16 and self.device.type != "cpu"  # on a CPU the weights are in bfloat16 already
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            state, context = decoder.start(slim)
            if self._fuse is None:
                found = search(decoder, state, context, options, return_attention=grid is not None)
            else:
                both = self._fuse(decoder)
                found = search(both, both.start(state), context, options, return_attention=grid is not None)
                found = with_own_scores(found, decoder.decoder, slim)
        return [[self._caption(hypothesis, grid) for hypothesis in hypotheses] for hypotheses in found]

    @torch.inference_mode()
    def score(self, features: Features, captions: Sequence[Sequence[str]]) -> list[float]:
        """Log-probability of a tokenised caption (the end included) for each image, by teacher forcing."""
        ids = [self.vocabulary.encode(tokens) for tokens in captions]
        return [sum(log_probs) for log_probs in teacher_forced(self.decoder, features.to(self.device), ids)]

    def _caption(self, hypothesis: Hypothesis, grid: tuple[int, int] | None) -> Caption:
        tokens = tuple(self.vocabulary.decode(hypothesis.tokens))
        weights = hypothesis.attention
        looked = None if weights is None or grid is None else weights.float().view(len(tokens), *grid).cpu().numpy()
        return Caption(
            text=self.vocabulary.tokenization.to_sentence(tokens),
            score=hypothesis.log_probability / (len(tokens) + 1),
            log_probability=hypothesis.log_probability,
            tokens=tokens,
            attention=looked,
        )
