"""Translation: the model that reads a sentence and writes it in another language (network: `translate_network`)."""

import copy
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import nn

from captioner.decoding.search import DecodingConfig, Hypothesis, search
from captioner.errors import ModelError
from captioner.models.base import read_config, read_weights, write_model
from captioner.models.caption_network import DecoderConfig, SearchDecoder
from captioner.models.translate_network import SourceConfig, TranslationNetwork
from captioner.processor import multiplies_bfloat16, one_thread_each
from captioner.text.bpe import Subwords
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Precision
from captioner.weights import Weights, check_fit

BATCH = 64
LIMIT = 200  # pieces of a sentence that are read: several times the longest sentence that was learnt from
_SPACE = "▁"  # with which a piece begins that follows a space


class TranslateConfig(BaseModel):
    """What a translator's `config.json` holds.

    Attributes:
        source: language that is read, such as `en`.
        target: language that is written, such as `de`.
        reader: the network that reads.
        decoder: the network that writes.
        search: for translations; its `max_length` is the most pieces of any.
        search_precision: of the decoder in a search, on a CPU that multiplies bfloat16; other CPUs use float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["translate"] = "translate"
    purpose: str = "translates captions"
    scores: dict[str, dict[str, float]] = {}
    source: str
    target: str
    reader: SourceConfig
    decoder: DecoderConfig
    search: DecodingConfig = DecodingConfig(max_length=LIMIT)
    search_precision: Precision = "bfloat16"


@dataclass(frozen=True)
class Translation:
    """A translation and how sure the model is of it.

    Attributes:
        text: the sentence in the other language.
        score: mean log-probability of its pieces and the end, at most 0.
        log_probability: their sum.
        source_words: the words that were read, between spaces.
        words: the words of `text`, between spaces.
        alignment: (words, source_words), the attention of each word to each that was read; rows sum to 1. None if not
            asked for.
        warning: what was wrong with the sentence, or "".
    """

    text: str
    score: float
    log_probability: float
    source_words: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    alignment: NDArray[np.float32] | None = None
    warning: str = ""


class Translator:
    """A trained model that translates sentences.

    Args:
        config: as in `config.json`.
        subwords: the pieces that it reads and writes.
        network: reads and writes them.
        device: `cpu` or a CUDA device.
        name: for messages.
    """

    def __init__(
        self,
        config: TranslateConfig,
        subwords: Subwords,
        network: TranslationNetwork,
        device: str | torch.device = "cpu",
        name: str = "",
    ) -> None:
        self.config = config
        self.subwords = subwords
        self.network = network.to(device).eval()
        self.name = name
        self._ready: tuple[tuple[int, ...], SearchDecoder] | None = None
        self._making = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the network is, which training moves."""
        return next(self.network.parameters()).device

    @classmethod
    def build(cls, config: TranslateConfig, subwords: Subwords) -> "Translator":
        """A model that has learnt nothing yet."""
        return cls(config, subwords, TranslationNetwork(config.reader, config.decoder, len(subwords)))

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu", name: str = "") -> "Translator":
        """Read a model folder.

        Raises:
            ModelError: a file is missing or damaged, or the files do not fit together.
        """
        config = read_config(folder, TranslateConfig)
        subwords = Subwords.load(folder / "vocabulary.json")
        path = folder / "model.safetensors"
        weights = read_weights(folder)
        found = weights.get("decoder.embedding.weight")
        if found is not None and len(found) != len(subwords):
            raise ModelError(
                f"{folder}: model.safetensors has an embedding of {len(found)} pieces, but vocabulary.json has "
                f"{len(subwords)}; the two come from different trainings. Copy the whole model folder again."
            )
        network = TranslationNetwork(config.reader, config.decoder, len(subwords))
        check_fit(weights, network.state_dict(), path)
        network.load_state_dict(weights)
        return cls(config, subwords, network, device, name or folder.name)

    def save(self, folder: Path, card: str) -> None:
        """Write a model folder: configuration, weights as float16, vocabulary and the model card (`README.md`)."""
        write_model(folder, self.config, self.weights(), card)
        self.subwords.save(folder / "vocabulary.json")

    def weights(self) -> Weights:
        """All tensors, under the names they have in `model.safetensors`."""
        return dict(self.network.state_dict())

    def translate(
        self, sentences: Sequence[str], *, beam_size: int | None = None, alignment: bool = False
    ) -> list[Translation]:
        """Translate sentences, those of about the same length together.

        Args:
            sentences: one caption or sentence each; an empty one has an empty translation. What is longer than `LIMIT`
                pieces is cut there, and the translation's `warning` says so.
            beam_size: hypotheses kept after each piece; the model's own choice by default.
            alignment: also say which words each word was translated from.

        Returns:
            the best translation of each, in the same order.
        """
        options = self.config.search if beam_size is None else replace(self.config.search, beam_size=beam_size)
        return [best[0] for best in self.generate(sentences, options, alignment=alignment)]

    def generate(
        self, sentences: Sequence[str], options: DecodingConfig | None = None, *, alignment: bool = False
    ) -> list[list[Translation]]:
        """As `translate`, with all that a search finds.

        Args:
            sentences: to translate.
            options: how to search; the model's own choice by default.
            alignment: also say which words each word was translated from.

        Returns:
            for each sentence its translations, best first.
        """
        options = options or self.config.search
        encoded = self.subwords.encode(sentences)
        found = {place: [Translation("", 0.0, 0.0)] for place, ids in enumerate(encoded) if not ids}
        order = sorted((place for place, ids in enumerate(encoded) if ids), key=lambda place: len(encoded[place]))

        def work(batch: tuple[int, list[int]]) -> None:
            most, places = batch
            pieces = [encoded[place][:LIMIT] for place in places]
            limit = max(options.min_length, min(options.max_length, most))
            found_here = self._search(pieces, replace(options, max_length=limit), alignment)
            for place, read, hypotheses in zip(places, pieces, found_here, strict=True):
                warning = self._warning(encoded[place])
                words = self._words(sentences[place], read)
                found[place] = [self._translation(read, words, hypothesis, warning) for hypothesis in hypotheses]

        batches = list(_batches(order, encoded))
        workers = min(torch.get_num_threads(), len(batches)) if self.device.type == "cpu" else 1
        if workers > 1:
            self._searched()
            with one_thread_each(), ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, batches[::-1]))  # the longest first, so that all end at about the same time
        else:
            for batch in batches:
                work(batch)
        return [found[place] for place in range(len(sentences))]

    @torch.inference_mode()
    def score(self, sentences: Sequence[str], translations: Sequence[str]) -> list[float]:
        """Log-probability of given translations, the end included, by teacher forcing."""
        read = [torch.tensor(ids[:LIMIT]) for ids in self.subwords.encode(sentences)]
        written = [torch.tensor([Vocabulary.start, *ids, Vocabulary.end]) for ids in self.subwords.encode(translations)]
        padded = nn.utils.rnn.pad_sequence(written, batch_first=True).to(self.device)
        lengths = torch.tensor([len(ids) for ids in read])
        sentence_ids = nn.utils.rnn.pad_sequence(read, batch_first=True).to(self.device)
        readout = self.network(sentence_ids, lengths, padded[:, :-1])
        log_probs = self.network.decoder.logits(readout).float().log_softmax(-1)
        each = log_probs.gather(-1, padded[:, 1:, None]).squeeze(-1)
        return [float(value) for value in each.masked_fill(padded[:, 1:] == Vocabulary.pad, 0).sum(1)]

    @torch.inference_mode()
    def _search(
        self, batch: Sequence[Sequence[int]], options: DecodingConfig, alignment: bool
    ) -> list[list[Hypothesis]]:
        decoder = self._searched()
        lengths = torch.tensor([len(ids) for ids in batch])
        padded = nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in batch], batch_first=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            features = self.network.encode(padded.to(self.device), lengths).to(decoder.decoder.bias.dtype)
            state, context = decoder.start(features)
            return search(decoder, state, context, options, return_attention=alignment)

    def _searched(self) -> SearchDecoder:
        versions = tuple(value._version for value in self.network.parameters())
        with self._making:
            if self._ready is None or self._ready[0] != versions:  # training changes the weights
                decoder = copy.deepcopy(self.network.decoder)
                on_cpu = self.device.type == "cpu"
                slim = on_cpu and self.config.search_precision == "bfloat16" and multiplies_bfloat16()
                self._ready = versions, SearchDecoder((decoder.bfloat16() if slim else decoder).eval())
            return self._ready[1]

    def _warning(self, ids: Sequence[int]) -> str:
        unknown = sum(index == Vocabulary.unk for index in ids)
        if 2 * unknown > len(ids):
            return f"most of its characters are unknown to {self.name}, which reads {self.config.source}"
        if len(ids) > LIMIT:
            return f"longer than {LIMIT} pieces of words, and cut there"
        return ""

    def _words(self, sentence: str, read: Sequence[int]) -> tuple[str, ...]:
        """The words that were read, as they are written: pieces do not tell unknown characters apart."""
        words, joined = self.subwords.normalise(sentence).split(" "), _join(self.subwords.pieces(read))
        return tuple(words[: len(joined)]) if len(words) >= len(joined) else joined

    def _translation(
        self, read: Sequence[int], source_words: tuple[str, ...], hypothesis: Hypothesis, warning: str
    ) -> Translation:
        length = len(hypothesis.tokens) + 1
        source, target = self.subwords.pieces(read), self.subwords.pieces(hypothesis.tokens)
        weights = hypothesis.attention
        return Translation(
            text=self.subwords.decode(hypothesis.tokens),
            score=hypothesis.log_probability / length,
            log_probability=hypothesis.log_probability,
            source_words=source_words,
            words=_join(target),
            alignment=None if weights is None else _by_words(weights.float().cpu().numpy(), target, source),
            warning=warning,
        )


def _batches(order: Sequence[int], encoded: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
    """Batches of sentences that share the most pieces a translation may have, and that number.

    Where longer translations are favoured, one that repeats itself would win if nothing stopped it. The limit follows
    from a sentence alone, so that what it is translated beside changes nothing.
    """
    for most, group in groupby(order, key=lambda place: -(-(2 * min(len(encoded[place]), LIMIT) + 8) // 16) * 16):
        places = list(group)
        for first in range(0, len(places), BATCH):
            yield most, places[first : first + BATCH]


def _starts(pieces: Iterable[str]) -> list[int]:
    """The places at which words begin."""
    return [place for place, piece in enumerate(pieces) if piece.startswith(_SPACE) or place == 0]


def _join(pieces: Sequence[str]) -> tuple[str, ...]:
    starts = [*_starts(pieces), len(pieces)]
    return tuple("".join(pieces[first:last]).removeprefix(_SPACE) for first, last in pairwise(starts))


def _by_words(weights: NDArray[np.float32], target: Sequence[str], source: Sequence[str]) -> NDArray[np.float32]:
    """Attention (pieces, source pieces, perhaps padded) as (words, source words): summed over a source word's pieces,
    averaged over those of a word."""
    if not len(target):
        return np.zeros((0, len(_starts(source))), np.float32)
    starts = _starts(target)
    summed = np.add.reduceat(weights[:, : len(source)], _starts(source), axis=1)
    counts = np.diff([*starts, len(target)])
    averaged: NDArray[np.float32] = np.add.reduceat(summed, starts, axis=0) / counts[:, None]
    return (averaged / averaged.sum(1, keepdims=True)).astype(np.float32)  # bfloat16 has rounded them
