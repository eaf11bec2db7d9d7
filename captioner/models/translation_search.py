"""How a translator searches: sentences of about the same length together, and those again whose translations repeat
themselves or do not end."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from captioner.decoding.limits import WithLimits
from captioner.decoding.repeats import WithoutRepeats
from captioner.decoding.search import DecodingConfig, Hypothesis, search
from captioner.decoding.steps import StepModel
from captioner.models.caption_network import ReadyForSearch, SearchDecoder
from captioner.models.translate_network import TranslationNetwork
from captioner.models.translation import Part, Reading
from captioner.processor import one_thread_each
from captioner.text.bpe import Subwords
from captioner.text.repeats import repeats_itself, says_twice
from captioner.vision.encoder import Precision

BATCH = 128
Repeats = Literal["all", "numbers", "none"]
"""What may follow itself at once in a translation."""
LONGER = 2  # pieces by which a translation that does not repeat itself may exceed one that does


class SentenceSearch:
    """Finds translations of sentences.

    Several threads may call it.

    Args:
        network: reads and writes.
        subwords: the pieces that it reads and writes.
        precision: of the network in a search on a CPU, see `ReadyForSearch`.
    """

    def __init__(self, network: TranslationNetwork, subwords: Subwords, precision: Precision) -> None:
        self.network, self.subwords = network, subwords
        self._ready = ReadyForSearch(network, precision, _ready)

    def __call__(self, readings: Sequence[Reading], options: DecodingConfig, *, alignment: bool) -> list[list[Part]]:
        """Translations of sentences, best first for each.

        Args:
            readings: the sentences, none without pieces.
            options: how to search.
            alignment: keep the attention.
        """
        if options.method == "beam" and options.num_captions > 1:
            # pieces may be put together in several ways that say the same
            options = replace(options, num_captions=options.beam_size)
        # where longer translations are favoured, one that repeats itself would win if nothing stopped it
        limits = [2 * len(reading.ids) + 8 for reading in readings]
        parts = self._in_batches(readings, limits, options, alignment)
        if options.method == "beam":
            # other pieces may spell the same words, so all that are found are looked at
            wide = replace(options, num_captions=options.beam_size)
            endless = [place for place, several in enumerate(parts) if any(part.endless for part in several)]
            looped = [place for place in set(range(len(parts))).difference(endless) if _loops(parts[place])]
            again_without: list[tuple[list[int], Repeats]] = [(sorted(looped), "numbers"), (endless, "none")]
            for places, repeats in again_without:
                longest = [min(limits[place], LONGER + max(part.length for part in parts[place])) for place in places]
                again = self._in_batches([readings[place] for place in places], longest, wide, alignment, repeats)
                for place, several, length in zip(places, again, longest, strict=True):
                    parts[place] = _mended(several, length)
        return parts

    def _in_batches(
        self,
        readings: Sequence[Reading],
        limits: Sequence[int],
        options: DecodingConfig,
        alignment: bool,
        repeats: Repeats = "all",
    ) -> list[list[Part]]:
        """As the call, with the most pieces of each translation, and what may follow itself at once."""
        parts: dict[int, list[Part]] = {}

        def work(places: list[int]) -> None:
            some = [readings[place] for place in places]
            hypotheses = self._search(some, [limits[place] for place in places], options, alignment, repeats)
            for place, each in zip(places, hypotheses, strict=True):
                found = [readings[place].part(hypothesis, self.subwords) for hypothesis in each]
                parts[place] = [replace(part, endless=part.length > limits[place]) for part in found]

        workers = torch.get_num_threads() if self._device.type == "cpu" else 1
        batches = list(_batches([len(reading.ids) for reading in readings], workers))
        if min(workers, len(batches)) > 1:
            self._ready()
            with one_thread_each(), ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, batches[::-1]))  # the longest first, so that all end at about the same time
        else:
            for batch in batches:
                work(batch)
        return [parts[place] for place in range(len(readings))]

    @torch.inference_mode()
    def _search(
        self,
        batch: Sequence[Reading],
        limits: Sequence[int],
        options: DecodingConfig,
        alignment: bool,
        repeats: Repeats,
    ) -> list[list[Hypothesis]]:
        network, decoder = self._ready()
        device = self._device
        # the batch's own length is that of its longest; each sentence has its own
        each = [max(options.min_length, min(options.max_length, limit)) for limit in limits]
        options = replace(options, max_length=max(each))
        lengths = torch.tensor([len(reading.ids) for reading in batch])
        padded = nn.utils.rnn.pad_sequence([torch.tensor(reading.ids) for reading in batch], batch_first=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu"):
            features = network.encode(padded.to(device), lengths).to(decoder.decoder.bias.dtype)
            state, context = decoder.start(features)
            model: StepModel = decoder
            if repeats != "all":
                free = self._numbers.to(device) if repeats == "numbers" else None
                model = without = WithoutRepeats(decoder, free)
                state = without.start(state)
            if min(each) < max(each):
                model = limited = WithLimits(model)
                state = limited.start(state, torch.tensor(each))
            return search(model, state, context, options, alignment)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    @cached_property
    def _numbers(self) -> Tensor:
        """Which pieces (pieces,) have no letter, as those of which numbers are made."""
        pieces = self.subwords.pieces(range(len(self.subwords)))
        return torch.tensor([not any(map(str.isalpha, piece)) for piece in pieces])


def _ready(network: TranslationNetwork) -> tuple[TranslationNetwork, SearchDecoder]:
    return network, SearchDecoder(network.decoder)


def _loops(parts: Sequence[Part]) -> bool:
    """Whether a translation of a sentence repeats itself, where the sentence does not."""
    texts = [part.translation.text for part in parts]
    return any(map(repeats_itself, texts)) and not says_twice(parts[0].sentence.text)


def _mended(parts: Sequence[Part], length: int) -> list[Part]:
    """Those first that end and do not repeat themselves (other pieces may spell the same words), nor are longer than
    `length`, as they are where other things were invented in the place of the run."""
    return sorted(parts, key=lambda part: (repeats_itself(part.translation.text), part.endless, part.length > length))


def _batches(lengths: Sequence[int], workers: int) -> Iterator[list[int]]:
    """Batches of sentences of about the same length, the shortest first: as few as are needed, but some for each
    worker, and of about the same size."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    count = min(-(-len(order) // BATCH // workers) * workers, len(order))
    for number in range(count):
        yield order[number * len(order) // count : (number + 1) * len(order) // count]
