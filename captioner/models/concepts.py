"""Concept words: what an image shows, as words with probabilities, told by what the decoder knows at its beginning.

Each word has a logistic regression of its own on the decoder's summary of the features, in a captioner with a content
vector a sum of word embeddings. A probability is that of at least one of five people naming the word in a caption.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from captioner.errors import ModelError
from captioner.models.base import read_json
from captioner.models.search_config import captioner_digest
from captioner.text.vocabulary import Vocabulary
from captioner.weights import check_fit, read_tensors, write_atomically, write_tensors

CONCEPT_FILES = ("concepts.safetensors", "concepts.json")
MOST = 10
"""Words of an image that are listed."""
LEAST = 0.1
"""Probability below which a word is not listed."""

NO_CONCEPTS = "this model tells no concept words; take photos, or train one with the key concepts."


@dataclass(frozen=True)
class Concept:
    """A word that an image shows.

    Attributes:
        word: as captions have it.
        probability: that somebody who captions the image names it.
    """

    word: str
    probability: float


class ConceptWords(nn.Module):
    """The words that are told, and a logistic regression for each.

    Args:
        width: of the decoder's summaries.
        count: how many words.
    """

    ids: Tensor

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.register_buffer("ids", torch.zeros(count, dtype=torch.long))
        self.layer = nn.Linear(width, count)

    @classmethod
    def load(cls, folder: Path, width: int, vocabulary_size: int) -> "ConceptWords | None":
        """What lies in a captioner's folder, if anything does.

        Args:
            folder: of the captioner.
            width: of the decoder's summaries.
            vocabulary_size: of the captioner.

        Raises:
            ModelError: a file is damaged, or belongs to another captioner.
        """
        weights_path, path = (folder / name for name in CONCEPT_FILES)
        if not path.is_file():
            return None
        if read_json(path).get("captioner") != captioner_digest(folder):
            raise ModelError(f"{path}: belongs to another model.safetensors; copy the whole folder again.")
        weights = read_tensors(weights_path)
        found = cls(width, len(weights.get("layer.bias", ())))
        check_fit(weights, dict(found.state_dict()), weights_path)
        found.load_state_dict(weights)
        if len(found.ids) and not 0 <= int(found.ids.min()) <= int(found.ids.max()) < vocabulary_size:
            raise ModelError(f"{weights_path}: tells words that vocabulary.json lacks; copy the whole folder again.")
        return found

    def save(self, folder: Path) -> None:
        """Write them beside the captioner that the folder holds."""
        weights, config = (folder / name for name in CONCEPT_FILES)
        write_tensors(weights, dict(self.state_dict()))
        write_atomically(config, json.dumps({"captioner": captioner_digest(folder)}) + "\n")

    @torch.inference_mode()
    def tell(self, summaries: Tensor, vocabulary: Vocabulary) -> list[list[Concept]]:
        """The likeliest words of images, at most `MOST` of each, the likeliest first.

        Args:
            summaries: (images, width), as `CaptionDecoder.summary` gives them.
            vocabulary: the captioner's.
        """
        probabilities = self.layer(summaries.float()).sigmoid()
        values, places = probabilities.topk(min(MOST, len(self.ids)))
        words = vocabulary.decode(self.ids.tolist())
        return [
            [Concept(words[place], value) for value, place in zip(*row, strict=True) if value >= LEAST]
            for row in zip(values.tolist(), places.tolist(), strict=True)
        ]
