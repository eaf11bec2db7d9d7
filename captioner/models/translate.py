"""Translation: the model that reads a sentence and writes it in another language (network: `translate_network`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from captioner.data.names import first_few
from captioner.decoding.search import DecodingConfig
from captioner.errors import ModelError, UsageError
from captioner.models.base import read_config, read_weights, write_model
from captioner.models.caption_network import DecoderConfig
from captioner.models.translate_network import SourceConfig, TranslationNetwork
from captioner.models.translation import COPIED, UNKNOWN, Reading, Translation, put_together
from captioner.models.translation_search import SentenceSearch
from captioner.text.bpe import Subwords, whole_characters
from captioner.text.readable import in_small_letters, readable, without_markup
from captioner.text.sentences import Sentence, copied_label, sentences_of
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Precision
from captioner.weights import Weights, check_fit

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
        self._search = SentenceSearch(self.network, subwords, config.search_precision)

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
        parts = self._search(flat, options, alignment=alignment)
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

    def _read(self, texts: Sequence[str]) -> list[list[Reading]]:
        """The sentences of texts that hold anything, as they are read; those beyond the limit are not."""
        alone = self.config.whole_sentences
        written = [sentences_of(text) if alone else [Sentence("", "", text)] for text in texts]
        several = [[self._readable(each) for each in every] for every in written]
        pieces = iter(
            self.subwords.encode([each.whole if alone else each.text for every in several for each, _ in every])
        )
        read = []
        for text, every, before in zip(texts, several, written, strict=True):
            encoded = [next(pieces) for _ in every]
            unknown = list(dict.fromkeys(character for _, missed in every for character in missed))
            labels = list(filter(None, (copied_label(sentence, self._familiar) for sentence in before)))
            warning, left, readings = self._warning(text, encoded, unknown, labels), LIMIT, []
            for (sentence, _), ids, own in zip(every, encoded, before, strict=True):
                if (ids or sentence.mark) and left > 0:
                    stopped = alone and not sentence.stopped
                    readings.append(Reading(sentence, own.text, ids[:left], stopped, warning))
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

    def _readable(self, sentence: Sentence) -> tuple[Sentence, list[str]]:
        """A sentence in characters that the model knows, and those that a translation may lack for that."""
        text = in_small_letters(self.subwords.normalise(sentence.text), self._familiar)
        text, missed = readable(text, self.subwords)
        if sentence.text and not text:  # such as an emoji, which stays
            return replace(sentence, mark=sentence.mark + sentence.text, text=""), []
        return replace(sentence, text=text), missed

    def _warning(self, text: str, encoded: Sequence[list[int]], missed: Sequence[str], labels: Sequence[str]) -> str:
        unknown = sum(ids.count(Vocabulary.unk) for ids in encoded)
        warnings = []
        if unknown and 2 * unknown > sum(not character.isspace() for character in self.subwords.normalise(text)):
            warnings.append(f"most of its characters are unknown to {self.name}, which reads {self.config.source}")
        elif missed:
            warnings.append(f"{UNKNOWN} {first_few(missed)}")
        if labels:
            warnings.append(f"{COPIED} {first_few(labels)}")
        if sum(map(len, encoded)) > LIMIT:
            warnings.append(f"longer than {LIMIT} pieces of words, and cut there")
        return "; ".join(warnings)


def _texts(sentences: str | Iterable[str]) -> list[str]:
    if isinstance(sentences, Mapping) or not isinstance(sentences, Iterable):  # of a mapping the keys would be read
        raise UsageError(f"sentences to translate are a list of text, not {type(sentences).__name__}.")
    texts: list[str] = [sentences] if isinstance(sentences, str) else list(sentences)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise UsageError(f"sentence {number} to translate is {type(text).__name__}, not text.")
    return [
        without_markup(whole_characters(text)) for text in texts
    ]  # parts of a text may be copied into its translation


def _each_once(translations: Sequence[Translation]) -> list[Translation]:
    texts: dict[str, Translation] = {}
    for each in translations:
        texts.setdefault(each.text, each)
    return list(texts.values())
