"""Finding photos by sentences: a vector for each, which is quick, and then the captioner itself among the best.

The quick part is a recurrent network that reads a sentence, many to one, and a projection of what the CNN says of a
photo on average; both give unit vectors, whose product says how well they fit (Kiros et al., 2014, "Unifying
Visual-Semantic Embeddings"). It reads words through the captioner's own embedding, so it belongs to one captioner and
lies in its folder, as `search.json` and `search.safetensors`. A folder without them can be searched too, more slowly,
by the careful part alone (`rank`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from captioner.errors import DataError, ModelError
from captioner.models.caption_writer import Caption
from captioner.models.packed import PackedShape, pack
from captioner.models.phrases import Phrases
from captioner.models.rank import Prepared, fits, log_probs
from captioner.models.search_config import CANDIDATES, SEARCH_FILES, SHARE, SearchConfig, read_search_config
from captioner.recurrent.units import LockedDropout, Recurrent
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Features
from captioner.weights import check_fit, read_tensors, write_atomically, write_tensors

if TYPE_CHECKING:  # which finds with what is here
    from captioner.models.caption import Captioner

_BLOCK = 64  # sentences read at a time, whose words stay in a core's cache
_NEAREST = 32  # photos of the background that a sentence is read against


class SearchNetwork(nn.Module):
    """Unit vectors of sentences and of photos.

    Args:
        config: sizes.
        width: of the embedding of words.
        channels: of the features.
    """

    center: Tensor
    scale: Tensor
    background: Tensor

    def __init__(self, config: SearchConfig, width: int, channels: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(config.unit, width, config.hidden_size)
        self.sentence = nn.Linear(config.hidden_size, config.size, bias=False)
        self.photo = nn.Linear(channels, config.size)
        self.words_dropout = LockedDropout(config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("center", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        if config.background:
            self.register_buffer("background", torch.zeros(config.background, channels))
        nn.init.eye_(self.sentence.weight)
        nn.init.normal_(self.photo.weight, std=channels**-0.5)

    def read(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Vectors (sentences, size) of embedded words (sentences, steps, width), the end included."""
        states, _ = self.recurrent(self.words_dropout(words), lengths=lengths)
        padding = torch.arange(words.shape[1], device=words.device) >= lengths.to(words.device)[:, None]
        strongest = states.masked_fill(padding[..., None], -1.0).amax(1)  # no state is below -1
        return normalize(self.sentence(self.dropout(strongest)), dim=-1)

    def look(self, pooled: Tensor) -> Tensor:
        """Vectors (photos, size) of the means of features (photos, channels)."""
        return normalize(self.photo(self.dropout((pooled - self.center) / self.scale)), dim=-1)


@dataclass(frozen=True)
class Seen:
    """Photos that sentences are searched for.

    Attributes:
        prepared: for the careful part.
        vectors: (photos, size) for the quick part; None where there is none.
    """

    prepared: Prepared
    vectors: Tensor | None

    def __len__(self) -> int:
        return len(self.prepared)

    @classmethod
    def join(cls, parts: Sequence["Seen"]) -> "Seen":
        """All photos of several.

        Raises:
            DataError: there is none.
        """
        if not parts:
            raise DataError("there is no image to search.")
        vectors = [part.vectors for part in parts if part.vectors is not None]
        return cls(Prepared.join([part.prepared for part in parts]), torch.cat(vectors) if vectors else None)


@dataclass(frozen=True)
class Found:
    """A photo that was found.

    Attributes:
        place: among those that were searched.
        score: both parts' scores a word, to be compared within one sentence.
    """

    place: int
    score: float


class Finder:
    """A captioner that finds.

    Args:
        captioner: the careful part.
        config: of the quick part; None without one.
        network: the quick part.
        phrases: what captions probably say, where the captioner knows that.
    """

    def __init__(
        self,
        captioner: "Captioner",
        config: SearchConfig | None = None,
        network: SearchNetwork | None = None,
        phrases: Phrases | None = None,
    ) -> None:
        self.captioner, self.config = captioner, config
        self.network = None if network is None else network.to(captioner.device).eval()
        self.phrases = None if phrases is None else phrases.to(captioner.device).eval()

    @classmethod
    def load(cls, folder: Path, captioner: "Captioner") -> "Finder":
        """The finder of a captioner's folder.

        Raises:
            ModelError: its search files are damaged, or belong to another captioner.
        """
        config, decoder = read_search_config(folder), captioner.decoder
        photo_layer = decoder.content if decoder.config.content_vector else decoder.image_projection
        channels = photo_layer.in_features
        phrases = Phrases.load(folder, channels, len(captioner.vocabulary))
        if config is None:
            return cls(captioner, phrases=phrases)
        network = SearchNetwork(config, decoder.config.embedding_size, channels)
        path = folder / SEARCH_FILES[1]
        weights = read_tensors(path)
        check_fit(weights, network.state_dict(), path)
        network.load_state_dict(weights)
        return cls(captioner, config, network, phrases)

    @torch.inference_mode()
    def look(self, features: Features) -> Seen:
        """Photos as both parts see them."""
        prepared = Prepared.of(self.captioner.searched_decoder, features)
        return Seen(prepared, None if self.network is None else self.network.look(features.pooled).cpu())

    @cached_property
    def shape(self) -> PackedShape:
        """Of photos as an index keeps them."""
        config = self.captioner.config.decoder
        hidden = config.hidden_size if config.attention else 0
        return PackedShape.fitting(*self.captioner.grid_shape(), hidden, config.embedding_size)

    @torch.inference_mode()
    def pack(self, grids: Tensor) -> tuple[NDArray[np.float16], list[bytes]]:
        """Photos as an index keeps them.

        Args:
            grids: (photos, regions, channels), as `Captioner.encode` gives them.

        Returns:
            vectors (photos, size), of size 0 without a quick part, and packed photos for `Searcher`.
        """
        features = Features.of(grids.to(self.captioner.device))
        decoder, shape = self.captioner.decoder, self.shape
        vectors = torch.zeros(len(grids), 0) if self.network is None else self.network.look(features.pooled)
        regions = torch.zeros(len(grids), 0, 0)
        if shape.regions:
            cells = features.grid.transpose(1, 2).unflatten(2, self.captioner.grid_shape())
            cells = nn.functional.adaptive_avg_pool2d(cells, (shape.rows, shape.columns))
            regions = decoder.regions(cells.flatten(2).transpose(1, 2))
        packed = pack(shape, decoder.summary(features).cpu().numpy(), regions.cpu().numpy())
        return vectors.cpu().numpy().astype(np.float16), packed

    @torch.inference_mode()
    def read(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Vectors (sentences, size) of sentences, as ids of their tokens, in float32 on the CPU.

        Raises:
            ModelError: this captioner has no quick part.
        """
        if self.network is None:
            raise ModelError(f"{self.captioner.name}: has no {SEARCH_FILES[1]}, so sentences have no vectors.")
        vectors = torch.empty(len(sentences), self.network.sentence.out_features)
        order = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))  # little padding in a block
        for first in range(0, len(order), _BLOCK):
            places = order[first : first + _BLOCK]
            block = embedded(self.captioner, [sentences[place] for place in places], self.captioner.device)
            vectors[places] = self.network.read(*block).float().cpu()
        return vectors

    @property
    def chooses(self) -> bool:
        """Whether there is something to say when captions are chosen."""
        return self.caption_weight > 0 or self.phrases is not None

    @property
    def caption_weight(self) -> float:
        """What a cosine of the quick part counts when captions are chosen."""
        return 0.0 if self.config is None else self.config.caption_weight

    @torch.inference_mode()
    def choose(
        self, features: Features, captions: Sequence[Sequence[Caption]], length_penalty: float, *, bfloat16: bool
    ) -> list[list[Caption]]:
        """Captions of images in the order in which they fit, by the search's score, the cosine and the CIDEr to be
        expected together.

        Args:
            features: of the images.
            captions: of each image what a search has found.
            length_penalty: of the search.
            bfloat16: read captions in it.
        """
        every = [caption for several in captions for caption in several]
        ids = [self.captioner.vocabulary.encode(caption.tokens) for caption in every]
        counts = [len(several) for several in captions]
        images = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        lengths = torch.tensor([float(len(caption.tokens) + 1) for caption in every])
        scores = torch.tensor([caption.log_probability for caption in every]) / lengths**length_penalty
        if self.network is not None and self.caption_weight:
            with torch.autocast(features.pooled.device.type, torch.bfloat16, enabled=bfloat16):
                texts = self.read(ids)
            seen = self.network.look(features.pooled.float()).cpu()
            scores += self.caption_weight * (texts * seen[images]).sum(1)
        if self.phrases is not None:
            padded = nn.utils.rnn.pad_sequence([torch.tensor(each) for each in ids], batch_first=True)
            device = features.pooled.device
            fits = self.phrases.fit(features.pooled, padded.to(device), images.to(device))
            scores += self.phrases.weight * fits.cpu()
        orders = [each.argsort(descending=True, stable=True).tolist() for each in scores.split(counts)]
        return [[several[place] for place in order] for several, order in zip(captions, orders, strict=True)]

    @cached_property
    def cosine_weight(self) -> float:
        """What a cosine counts beside a log-probability."""
        return 0.0 if self.config is None else self.config.cosine_weight

    def find(self, sentence: Sequence[int], seen: Seen, top: int, candidates: int = CANDIDATES) -> list[Found]:
        """The photos that a sentence, as ids of its tokens, fits best: some by the quick part, ranked by both."""
        chosen, cosines = torch.arange(len(seen)), torch.zeros(len(seen))
        if seen.vectors is not None:
            cosines = seen.vectors @ self.read([sentence])[0]
            chosen = cosines.topk(min(max(candidates, 2 * top), len(seen))).indices
        scores = self.careful(seen.prepared[chosen.to(self.captioner.device)], [sentence])[:, 0]
        scores = (scores + self.cosine_weight * cosines[chosen]) / (len(sentence) + 1)
        best = scores.argsort(descending=True)[:top]
        return [Found(int(chosen[each]), float(scores[each])) for each in best]

    @torch.inference_mode()
    def prior(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """How probable sentences are whatever the photo, (sentences,): to be taken off where they compete for one.

        The mean of p(sentence | photo) over photos of the training estimates p(sentence) better than the decoder does
        without a picture. Only the photos nearest to a sentence are asked, the others add next to nothing. A captioner
        whose search keeps no such photos gives `SHARE` of the decoder's log p(sentence).
        """
        decoder = self.captioner.searched_decoder
        if self.config is None or not self.config.background:
            return SHARE * log_probs(decoder, None, sentences)[0]
        assert self.network is not None
        background = self.network.background
        photos = Prepared.of(decoder, Features.of(background[:, None]))
        cosines = self.read(sentences) @ self.network.look(background).cpu().T
        nearest = cosines.topk(min(_NEAREST, len(photos))).indices.to(self.captioner.device)
        asked = zip(nearest, sentences, strict=True)
        among = torch.stack([log_probs(decoder, photos[near], [each])[:, 0].logsumexp(0) for near, each in asked])
        return among - math.log(len(photos))

    def careful(self, photos: Prepared, sentences: Sequence[Sequence[int]]) -> Tensor:
        """How well sentences fit photos, (photos, sentences), as `Captioner.rank` says it."""
        return fits(self.captioner.searched_decoder, [photos], sentences, SHARE)


def embedded(captioner: "Captioner", sentences: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Sentences as the quick part reads them: words (sentences, steps, width), each with its end, and their lengths."""
    ids = [torch.tensor([*sentence, Vocabulary.end]) for sentence in sentences]
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True).to(device)
    words = captioner.decoder.embedding(padded).mul_(captioner.decoder.config.embedding_size**0.5)
    return words, torch.tensor([len(each) for each in ids])


def write_search(folder: Path, config: SearchConfig, network: SearchNetwork) -> None:
    """Write the quick part into its captioner's folder."""
    write_tensors(folder / SEARCH_FILES[1], network.state_dict())
    write_atomically(folder / SEARCH_FILES[0], config.model_dump_json(indent=2) + "\n")
