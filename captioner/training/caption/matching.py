"""A second aim of fine-tuning: that a photo is told from the others of its batch by its captions, and the reverse.

Captions ask a CNN for what is usual, this for what sets a photo apart (Kiros et al., 2014; both together in Yu et al.,
2022, "CoCa"). The networks that compare are those of a search's quick part; they are left behind after the stage.
"""

import math

import torch
from torch import Tensor, nn

from captioner.models.caption_network import CaptionDecoder
from captioner.models.search import SearchNetwork
from captioner.models.search_config import SearchConfig
from captioner.text.vocabulary import Vocabulary
from captioner.training.cross_entropy import SHARPEST, matching_cross_entropy

_TEMPERATURE = 0.05


class Matching(nn.Module):
    """Cross-entropy of the right photo and of the right caption among a batch's.

    Args:
        width: of the embedding of words.
        channels: of the features.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.network = SearchNetwork(SearchConfig.model_validate({"captioner": ""}), width, channels)
        self.spread = nn.BatchNorm1d(channels, affine=False)  # a CNN in training moves its features
        self.sharpness = nn.Parameter(torch.tensor(-math.log(_TEMPERATURE)))

    def forward(self, decoder: CaptionDecoder, pooled: Tensor, tokens: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            decoder: whose embedding reads the words, and stays as it is.
            pooled: (photos, channels), the means of features.
            tokens: (photos, captions, steps), each from start to end, then padding.
        """
        words = tokens[..., 1:].flatten(0, 1)
        lengths = (words != Vocabulary.pad).sum(1)
        embedded = decoder.embedding.weight.detach()[words] * decoder.config.embedding_size**0.5
        sentences = self.network.read(embedded, lengths.cpu()).unflatten(0, tokens.shape[:2])
        self.spread.train(self.training and len(pooled) > 1)  # one photo alone has no spread
        photos = self.network.look(self.spread(pooled.float()))
        sharpness = self.sharpness.exp().clamp(max=SHARPEST)
        scores = torch.einsum("pcd,qd->cpq", sentences.float(), photos.float()) * sharpness
        return matching_cross_entropy(scores)
