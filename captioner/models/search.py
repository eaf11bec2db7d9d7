"""Finding photos by sentences: a vector for each, which is quick, and then the captioner itself among the best.

The quick part is a recurrent network that reads a sentence, many to one, and a projection of what the CNN says of a
photo on average; both give unit vectors, whose product says how well they fit (Kiros et al., 2014, "Unifying
Visual-Semantic Embeddings"). It reads words through the captioner's own embedding, so it belongs to one captioner and
lies in its folder, as `search.json` and `search.safetensors`. A folder without them can be searched too, more slowly,
by the careful part alone (`rank`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn.functional import normalize

from captioner.errors import ModelError
from captioner.models.caption import Captioner
from captioner.models.rank import SHARE, Prepared, log_probs
from captioner.recurrent.units import LockedDropout, Recurrent
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Features
from captioner.weights import check_fit, read_tensors, write_atomically, write_tensors

SEARCH_FILES = ("search.json", "search.safetensors")
FORMAT = 1
"""Of these two files; a reader knows this one and all before it."""
_BLOCK = 256  # sentences read at a time


class SearchConfig(BaseModel):
    """What `search.json` holds.

    Attributes:
        captioner: digest of the `model.safetensors` that it was trained beside, see `captioner_digest`.
        unit: of the recurrent network that reads.
        hidden_size: of its states.
        size: of the vectors.
        dropout: of words and features in training.
        cosine_weight: what a cosine counts beside a log-probability where both parts rank together.
        scores: measured on validation photos.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = FORMAT
    captioner: str
    unit: Literal["tanh", "lstm", "gru"] = "gru"
    hidden_size: int = Field(384, ge=1)
    size: int = Field(384, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    cosine_weight: float = Field(20.0, ge=0)
    scores: dict[str, dict[str, float]] = {}


class SearchNetwork(nn.Module):
    """Unit vectors of sentences and of photos.

    Args:
        config: sizes.
        width: of the embedding of words.
        channels: of the features.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, config: SearchConfig, width: int, channels: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(config.unit, width, config.hidden_size)
        self.sentence = nn.Linear(config.hidden_size, config.size, bias=False)
        self.photo = nn.Linear(channels, config.size)
        self.words_dropout = LockedDropout(config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("center", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
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


class Finder:
    """A captioner that finds.

    Args:
        captioner: the careful part.
        config: of the quick part; None without one.
        network: the quick part.
    """

    def __init__(
        self, captioner: Captioner, config: SearchConfig | None = None, network: SearchNetwork | None = None
    ) -> None:
        self.captioner, self.config = captioner, config
        self.network = None if network is None else network.to(captioner.device).eval()

    @classmethod
    def load(cls, folder: Path, captioner: Captioner) -> "Finder":
        """The finder of a captioner's folder.

        Raises:
            ModelError: its search files are damaged, or belong to another captioner.
        """
        config = read_search_config(folder)
        if config is None:
            return cls(captioner)
        decoder = captioner.decoder
        photo_layer = decoder.content if decoder.config.content_vector else decoder.image_projection
        network = SearchNetwork(config, decoder.config.embedding_size, photo_layer.in_features)
        path = folder / SEARCH_FILES[1]
        weights = read_tensors(path)
        check_fit(weights, network.state_dict(), path)
        network.load_state_dict(weights)
        return cls(captioner, config, network)

    @torch.inference_mode()
    def look(self, features: Features) -> Seen:
        """Photos as both parts see them."""
        prepared = Prepared.of(self.captioner.searched_decoder, features)
        return Seen(prepared, None if self.network is None else self.network.look(features.pooled).cpu())

    @torch.inference_mode()
    def read(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Vectors (sentences, size) of sentences, as ids of their tokens.

        Raises:
            ModelError: this captioner has no quick part.
        """
        if self.network is None:
            raise ModelError(f"{self.captioner.name}: has no {SEARCH_FILES[1]}, so sentences have no vectors.")
        device = self.captioner.device
        blocks = [
            self.network.read(*embedded(self.captioner, sentences[first : first + _BLOCK], device))
            for first in range(0, len(sentences), _BLOCK)
        ]
        return torch.cat(blocks).cpu()

    @cached_property
    def cosine_weight(self) -> float:
        """What a cosine counts beside a log-probability."""
        return 0.0 if self.config is None else self.config.cosine_weight

    def careful(self, photos: Prepared, sentences: Sequence[Sequence[int]], share: float = SHARE) -> Tensor:
        """How well sentences fit photos, (photos, sentences), as `Captioner.rank` says it."""
        decoder = self.captioner.searched_decoder
        found = log_probs(decoder, photos, sentences)
        return found - share * log_probs(decoder, None, sentences) if share else found


def embedded(captioner: Captioner, sentences: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Sentences as the quick part reads them: words (sentences, steps, width), each with its end, and their lengths."""
    ids = [torch.tensor([*sentence, Vocabulary.end]) for sentence in sentences]
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True).to(device)
    words = captioner.decoder.embedding(padded) * captioner.decoder.config.embedding_size**0.5
    return words, torch.tensor([len(each) for each in ids])


def read_search_config(folder: Path) -> SearchConfig | None:
    """What `search.json` says; None where a captioner has no quick part.

    Raises:
        ModelError: it is damaged, or was trained beside another captioner.
    """
    path = folder / SEARCH_FILES[0]
    if not path.is_file():
        return None
    try:
        config = SearchConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(f"{path}: {key}: {first['msg']}; copy the whole model folder again.") from error
    if config.captioner != captioner_digest(folder):
        raise ModelError(
            f"{path}: was trained beside another model.safetensors; train it again with captioner train "
            f"configs/search.yaml init={folder}, or delete it to search more slowly without it."
        )
    return config


def captioner_digest(folder: Path) -> str:
    """What identifies a captioner's weights."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_search(folder: Path, config: SearchConfig, network: SearchNetwork) -> None:
    """Write the quick part into its captioner's folder."""
    write_tensors(folder / SEARCH_FILES[1], network.state_dict())
    write_atomically(folder / SEARCH_FILES[0], config.model_dump_json(indent=2) + "\n")
