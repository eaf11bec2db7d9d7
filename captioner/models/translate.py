"""Translation: the model that reads a sentence and writes it in another language (network: `translate_network`)."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from captioner.decoding.repeats import WithoutRepeats
from captioner.decoding.search import DecodingConfig, Hypothesis, search
from captioner.errors import ModelError, UsageError
from captioner.models.base import read_config, read_weights, write_model
from captioner.models.caption_network import DecoderConfig, ReadyForSearch, SearchDecoder
from captioner.models.translate_network import SourceConfig, TranslationNetwork
from captioner.models.translation import Part, Reading, Translation, put_together
from captioner.processor import one_thread_each
from captioner.text.bpe import Subwords, whole_characters
from captioner.text.repeats import repeats_itself, says_twice
from captioner.text.sentences import Sentence, sentences_of
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Precision
from captioner.weights import Weights, check_fit

BATCH = 128
LONGER = 2  # pieces by which a translation that does not repeat itself may exceed one that does
LIMIT = 200  # pieces of a sentence that are read: several times the longest sentence that was learnt from


class TranslateConfig(BaseModel):
    """What a translator's `config.json` holds.

    Attributes:
        source: language that is read, such as `en`.
        target: language that is written, such as `de`.
        reader: the network that reads.
        decoder: the network that writes.
        familiar_words: of `source`, in lower case, with spaces between; others that a translation was made from are
            told. "" if it is not known which were met often enough.
        whole_sentences: those that were learnt from begin with a capital letter and end with a mark: a text is read as
            such sentences, one by one, and a stop that it lacks is not written either.
        search: for translations; its `max_length` is the most pieces of any.
        search_precision: of the decoder in a search, on a CPU that multiplies bfloat16; other CPUs use float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["translate"] = "translate"
    purpose: str = "translates captions"
    scores: dict[str, dict[str, float]] = {}
    source: str
    target: str
    familiar_words: str = ""
    whole_sentences: bool = False
    reader: SourceConfig
    decoder: DecoderConfig
    search: DecodingConfig = DecodingConfig(max_length=LIMIT)
    search_precision: Precision = "bfloat16"


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
        self._familiar = frozenset(config.familiar_words.split())
        self._searched = ReadyForSearch(self.network, config.search_precision, _ready)

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
        self, sentences: str | Iterable[str], *, beam_size: int | None = None, alignment: bool = False
    ) -> list[Translation]:
        """Translate sentences, those of about the same length together.

        Args:
            sentences: one caption or sentence each; an empty one has an empty translation. What is longer than `LIMIT`
                pieces is cut there, and the translation's `warning` says so.
            beam_size: hypotheses kept after each piece; the model's own choice by default.
            alignment: also say which words each word was translated from.

        Returns:
            the best translation of each, in the same order.

        Raises:
            UsageError: a sentence is no text, or the beam cannot be as large.
        """
        options = self.config.search if beam_size is None else replace(self.config.search, beam_size=beam_size)
        return [best[0] for best in self.generate(sentences, options, alignment=alignment)]

    def generate(
        self, sentences: str | Iterable[str], options: DecodingConfig | None = None, *, alignment: bool = False
    ) -> list[list[Translation]]:
        """As `translate`, with all that a search finds.

        Args:
            sentences: to translate.
            options: how to search; the model's own choice by default.
            alignment: also say which words each word was translated from.

        Returns:
            for each sentence its translations, best first; a beam gives each text once, so that there may be fewer than
            were asked for.

        Raises:
            UsageError: a sentence is no text.
        """
        options = options or self.config.search
        texts = _texts(sentences)
        read = self._read(texts)
        flat = [reading for readings in read for reading in readings if reading.ids]
        # where longer translations are favoured, one that repeats itself would win if nothing stopped it
        limits = [_up_to(2 * len(reading.ids) + 8, 16) for reading in flat]
        parts = self._parts(flat, limits, options, alignment=alignment)
        if options.method == "beam":
            looped = [place for place, several in enumerate(parts) if _loops(several)]
            longest = [LONGER + max(part.length for part in parts[place]) for place in looped]
            limits = [_up_to(length, 8) for length in longest]
            wide = replace(options, num_captions=options.beam_size)
            again = self._parts([flat[place] for place in looped], limits, wide, alignment=alignment, repeats=False)
            for place, several, length in zip(looped, again, longest, strict=True):
                parts[place] = _mended(several, length)
        in_order = iter(parts)
        whole = [
            put_together([next(in_order) if each.ids else [each.copied(alignment=alignment)] for each in readings])
            for readings in read
        ]
        if options.method == "beam":
            whole = list(map(_each_once, whole))
        return [
            [each.checked(text, self.config.target, self._familiar) for each in several[: options.num_captions]]
            for text, several in zip(texts, whole, strict=True)
        ]

    def _parts(
        self,
        flat: Sequence[Reading],
        limits: Sequence[int],
        options: DecodingConfig,
        *,
        alignment: bool,
        repeats: bool = True,
    ) -> list[list[Part]]:
        """What a search finds for sentences, best first for each.

        Args:
            flat: the sentences.
            limits: most pieces of a translation of each.
            options: how to search.
            alignment: keep the attention.
            repeats: without them nothing follows itself at once.
        """
        parts: dict[int, list[Part]] = {}
        # pieces may be put together in several ways that say the same
        found = options.beam_size if options.num_captions > 1 and options.method == "beam" else options.num_captions

        def work(batch: tuple[int, list[int]]) -> None:
            most, places = batch
            limit = max(options.min_length, min(options.max_length, most))
            wanted = replace(options, max_length=limit, num_captions=found)
            several = self._search([flat[place].ids for place in places], wanted, alignment, repeats)
            for place, hypotheses in zip(places, several, strict=True):
                parts[place] = [flat[place].part(hypothesis, self.subwords) for hypothesis in hypotheses]

        batches = list(_batches([len(reading.ids) for reading in flat], limits))
        workers = min(torch.get_num_threads(), len(batches)) if self.device.type == "cpu" else 1
        if workers > 1:
            self._searched()
            with one_thread_each(), ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, batches[::-1]))  # the longest first, so that all end at about the same time
        else:
            for batch in batches:
                work(batch)
        return [parts[place] for place in range(len(flat))]

    def _read(self, texts: Sequence[str]) -> list[list[Reading]]:
        """The sentences of texts that hold anything, as they are read; those beyond the limit are not."""
        alone = self.config.whole_sentences
        several = [sentences_of(text) if alone else [Sentence("", "", text)] for text in texts]
        pieces = iter(self.subwords.encode([each.whole if alone else each.text for every in several for each in every]))
        read = []
        for text, every in zip(texts, several, strict=True):
            encoded = [next(pieces) for _ in every]
            warning, left, readings = self._warning(text, encoded), LIMIT, []
            for sentence, ids in zip(every, encoded, strict=True):
                if (ids or sentence.mark) and left > 0:
                    readings.append(Reading(sentence, ids[:left], alone and not sentence.stopped, warning))
                left -= len(ids)
            read.append(readings)
        return read

    @torch.inference_mode()
    def score(self, sentences: Sequence[str], translations: Sequence[str]) -> list[float]:
        """Log-probability of given translations, the end included, by teacher forcing, each pair read as it stands.

        Raises:
            UsageError: there are more of one than of the other, or a sentence is empty.
        """
        if len(sentences) != len(translations) or not all(map(self.subwords.normalise, sentences)):
            raise UsageError(
                f"{len(sentences)} sentences and {len(translations)} translations are scored in pairs, of which no "
                "sentence is empty."
            )
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
        self, batch: Sequence[Sequence[int]], options: DecodingConfig, alignment: bool, repeats: bool
    ) -> list[list[Hypothesis]]:
        network, decoder = self._searched()
        lengths = torch.tensor([len(ids) for ids in batch])
        padded = nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in batch], batch_first=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            features = network.encode(padded.to(self.device), lengths).to(decoder.decoder.bias.dtype)
            state, context = decoder.start(features)
            if repeats:
                return search(decoder, state, context, options, return_attention=alignment)
            without = WithoutRepeats(decoder, self._may_repeat.to(self.device))
            return search(without, without.start(state), context, options, return_attention=alignment)

    @cached_property
    def _may_repeat(self) -> torch.Tensor:
        """Which pieces (pieces,) may follow themselves: those without a letter, of which numbers are made."""
        pieces = self.subwords.pieces(range(len(self.subwords)))
        return torch.tensor([not any(map(str.isalpha, piece)) for piece in pieces])

    def _warning(self, text: str, encoded: Sequence[list[int]]) -> str:
        unknown = sum(ids.count(Vocabulary.unk) for ids in encoded)
        warnings = []
        if unknown and 2 * unknown > sum(not character.isspace() for character in self.subwords.normalise(text)):
            warnings.append(f"most of its characters are unknown to {self.name}, which reads {self.config.source}")
        if sum(map(len, encoded)) > LIMIT:
            warnings.append(f"longer than {LIMIT} pieces of words, and cut there")
        return "; ".join(warnings)


def _ready(network: TranslationNetwork) -> tuple[TranslationNetwork, SearchDecoder]:
    return network, SearchDecoder(network.decoder)


def _texts(sentences: str | Iterable[str]) -> list[str]:
    texts: list[str] = [sentences] if isinstance(sentences, str) else list(sentences)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise UsageError(f"sentence {number} to translate is {type(text).__name__}, not text.")
    return list(map(whole_characters, texts))  # parts of a text may be copied into its translation


def _loops(parts: Sequence[Part]) -> bool:
    """Whether a translation of a sentence repeats itself, where the sentence does not."""
    texts = [part.translation.text for part in parts]
    return any(map(repeats_itself, texts)) and not says_twice(parts[0].sentence.text)


def _mended(parts: Sequence[Part], length: int) -> list[Part]:
    """Those first that neither repeat themselves (other pieces may spell the same words) nor are longer than `length`,
    as they are where other things were invented in the place of the run."""
    return sorted(parts, key=lambda part: (repeats_itself(part.translation.text), part.length > length))


def _each_once(translations: Sequence[Translation]) -> list[Translation]:
    texts: dict[str, Translation] = {}
    for each in translations:
        texts.setdefault(each.text, each)
    return list(texts.values())


def _up_to(length: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-length // step) * step


def _batches(lengths: Sequence[int], limits: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Batches of sentences that share the most pieces a translation may have, and that number.

    Each sentence's limit follows from it alone, so that what it is translated beside changes nothing.
    """
    order = sorted(range(len(lengths)), key=lambda place: (limits[place], lengths[place]))
    for most, group in groupby(order, key=lambda place: limits[place]):
        places = list(group)
        for first in range(0, len(places), BATCH):
            yield most, places[first : first + BATCH]
