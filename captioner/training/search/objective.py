"""What a search's quick part minimises, on which batches, and how it is validated."""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from captioner.data.captions import CaptionedImage
from captioner.metrics.retrieval import Retrieval, rank_of
from captioner.models.search import Finder, SearchNetwork
from captioner.text.vocabulary import Vocabulary
from captioner.training.cross_entropy import SHARPEST, matching_cross_entropy
from captioner.training.loop import Scores


@dataclass
class SearchBatch:
    """What one step reads.

    Attributes:
        sentences: (photos, steps), a caption of each: its tokens with their end, then padding.
        lengths: (photos,).
        pooled: (photos, channels), the means of features.
    """

    sentences: Tensor
    lengths: Tensor
    pooled: Tensor

    def to(self, device: torch.device) -> "SearchBatch":
        """The same batch on another device; lengths stay, as recurrent networks want them."""
        return SearchBatch(self.sentences.to(device), self.lengths, self.pooled.to(device))


class Contrastive(nn.Module):
    """Cross-entropy of the right answer among a batch's, both ways (InfoNCE, van den Oord et al., 2018).

    The wrong answers that a temperature makes count are the hard ones, as in VSE++ (Faghri et al., 2018), but all of
    them have a gradient.

    Args:
        network: what is trained.
        embedding: the captioner's, (words, width), which stays as it is.
        temperature: at first.
    """

    embedding: Tensor

    def __init__(self, network: SearchNetwork, embedding: Tensor, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.sharpness = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.register_buffer("embedding", embedding.detach(), persistent=False)

    def forward(self, batch: SearchBatch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and how many captions it is of."""
        sentences = self.network.read(self.embedding[batch.sentences], batch.lengths)
        photos = self.network.look(batch.pooled)
        scores = sentences @ photos.T * self.sharpness.exp().clamp(max=SHARPEST)
        return matching_cross_entropy(scores), {"captions": len(photos)}


Item = tuple[int, list[int]]


class SearchItems(Dataset[Item]):
    """Photos, each with one of its captions.

    Args:
        images: captioned photos.
        pooled: (photos, views, channels), the means of their features.
        vocabulary: numbers their words.
        max_length: words after which a caption is cut.
        seed: of the choice of captions and views.
    """

    def __init__(
        self, images: Iterable[CaptionedImage], pooled: Tensor, vocabulary: Vocabulary, max_length: int, seed: int
    ) -> None:
        self.captions = [
            [[*vocabulary.encode(tokens[:max_length]), vocabulary.end] for tokens in image.tokens] for image in images
        ]
        self.lengths = [0] * len(self.captions)  # a photo's captions differ in length more than photos do
        self.pooled, self.seed = pooled, seed

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        item, epoch = key
        draw = random.Random(f"{self.seed}/{item}/{epoch}")
        view = draw.randrange(self.pooled.shape[1])
        return item * self.pooled.shape[1] + view, draw.choice(self.captions[item])

    def collate(self, items: list[Item]) -> SearchBatch:
        """Pad the sentences and fetch the photos."""
        padded = nn.utils.rnn.pad_sequence([torch.tensor(ids) for _, ids in items], batch_first=True)
        rows = torch.tensor([row for row, _ in items])
        return SearchBatch(padded, torch.tensor([len(ids) for _, ids in items]), self.pooled.flatten(0, 1)[rows])


@torch.inference_mode()
def search_scores(
    finder: Finder, sets: Mapping[str, Sequence[CaptionedImage]], pooled: Mapping[str, Tensor]
) -> tuple[float, Scores]:
    """Recalls of each set's photos by their captions and of captions by their photos, by the quick part alone.

    Args:
        finder: with the weights to validate.
        sets: captioned photos by the name of their data set.
        pooled: (photos, channels), the means of their features.

    Returns:
        the mean of all recalls over all photos, and each set's scores.
    """
    assert finder.network is not None
    vocabulary = finder.captioner.vocabulary
    scores: Scores = {}
    total = count = 0.0
    for name, images in sets.items():
        owners = np.array([place for place, image in enumerate(images) for _ in image.tokens])
        sentences = finder.read([vocabulary.encode(tokens) for image in images for tokens in image.tokens])
        photos = finder.network.look(pooled[name].to(finder.captioner.device)).cpu()
        cosines = (photos @ sentences.T).numpy()
        found = {
            "photos": [rank_of(column, [owner]) for column, owner in zip(cosines.T, owners, strict=True)],
            "captions": [rank_of(row, np.flatnonzero(owners == photo)) for photo, row in enumerate(cosines)],
        }
        scores[name] = {
            f"{what} {metric}": value
            for what, ranks in found.items()
            for metric, value in Retrieval(np.array(ranks)).totals.items()
        }
        recalls = [value for metric, value in scores[name].items() if "R@" in metric]
        total += sum(recalls) / len(recalls) * len(images)
        count += len(images)
    return total / count, scores
