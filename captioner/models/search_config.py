"""What lies in a captioner's folder for its search, read without PyTorch, and how a sentence is read.

A folder without these files can be searched too, more slowly.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from captioner.errors import DataError, ModelError
from captioner.text.vocabulary import Vocabulary

SEARCH_FILES = ("search.json", "search.safetensors")
FORMAT: Literal[1] = 1
"""Of these two files; a reader knows this one and all before it."""
SHARE = 0.9
"""Of log p(sentence) in a careful ranking, chosen on 250 of Flickr8k's validation photos with all captions."""
CANDIDATES = 50
"""Best answers by the quick part that the careful part ranks anew, at least twice as many as are wanted."""
LONGEST = 60  # tokens of a sentence that are read; captions have thirty at most


class SearchConfig(BaseModel):
    """What `search.json` holds.

    Attributes:
        captioner: digest of the `model.safetensors` that it was trained beside, see `captioner_digest`.
        unit: of the recurrent network that reads.
        hidden_size: of its states.
        size: of the vectors.
        dropout: of words and features in training.
        background: photos of the training whose mean features are kept, for log p(sentence).
        cosine_weight: what a cosine counts beside a log-probability where both parts rank photos for a sentence.
        sentences_weight: the same where they rank sentences for a photo.
        caption_weight: what a cosine counts beside a caption's log-probability, normalised by its length as in the
            search, where the captioner chooses among what its search has found; 0 for its choice alone.
        scores: measured on validation photos.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = FORMAT
    captioner: str
    unit: Literal["tanh", "lstm", "gru"] = "gru"
    hidden_size: int = Field(384, ge=1)
    size: int = Field(384, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    background: int = Field(0, ge=0)
    cosine_weight: float = Field(15.0, ge=0)
    sentences_weight: float = Field(40.0, ge=0)
    caption_weight: float = Field(0.0, ge=0)
    scores: dict[str, dict[str, float]] = {}


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


def encode_sentence(sentence: str, vocabulary: Vocabulary) -> list[int]:
    """The ids of a sentence's tokens; words that the vocabulary lacks become `<unk>`.

    Raises:
        DataError: there is no word in it.
    """
    ids = vocabulary.encode(vocabulary.tokenization.tokenize(sentence)[:LONGEST])
    if not ids:
        raise DataError(f"{sentence!r}: has no word; say what a photo shows, such as 'a dog on the beach'.")
    return ids
