"""How a captioner's content vector is learnt: from words that stand in for a photo, then from photos by regression.

Text has no photos, but a caption's own words say what its photo shows. The language stage sums their embeddings up,
with words missing and wrong ones among them as a CNN would give them, and the decoder learns to write from that
(DeCap and CapDec do the same with CLIP's vectors: Li et al., 2023; Nukrai et al., 2022). Before the decoder sees its
first photo, ridge regression on the features gives the layer that makes content vectors of photos.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from captioner.data.captions import CaptionedImage, CaptionSet
from captioner.models.caption_network import CaptionDecoder
from captioner.text.english import FUNCTION_WORDS
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import Batch
from captioner.training.cross_entropy import linear_cross_entropy

GAIN = 3.0  # a unit-length embedding adds this much to its own word's score
KEPT, STRANGE, ABSENT = 0.6, 0.25, 0.1  # share of words that stay, of another caption's that join, of empty contents
MEAN_WEIGHT = 0.7  # of a word that stays
RIDGE = 0.1  # of the variance of a feature


def is_content(vocabulary: Vocabulary) -> Tensor:
    """Which words of a vocabulary (bool) say what a photo shows."""
    specials = (vocabulary.pad, vocabulary.start, vocabulary.end, vocabulary.unk)
    return torch.tensor(
        [index not in specials and token not in FUNCTION_WORDS for index, token in enumerate(vocabulary.tokens)]
    )


class CrossEntropyOfText(nn.Module):
    """Mean cross-entropy a word of captions without photos, padding left out.

    Args:
        decoder: the network that writes; where it has a content vector, that is made of the captions' own words.
        vocabulary: its words.
        label_smoothing: probability mass spread evenly over all words.
    """

    content_words: Tensor

    def __init__(self, decoder: CaptionDecoder, vocabulary: Vocabulary, label_smoothing: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.label_smoothing = label_smoothing
        self.register_buffer("content_words", is_content(vocabulary), persistent=False)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and how many words it is of."""
        content = self._content(batch.tokens[:, 0]) if self.decoder.config.content_vector else None
        readout = self.decoder(None, batch.tokens[..., :-1], content)
        targets = batch.tokens[..., 1:]
        real = targets != Vocabulary.pad
        loss = linear_cross_entropy(readout[real], *self.decoder.output, targets[real], self.label_smoothing)
        return loss, {"words": int(real.sum())}

    def _content(self, tokens: Tensor) -> Tensor:
        """Content vectors (captions, embedding_size) of captions (captions, steps), corrupted at random."""
        others = tokens[torch.randperm(len(tokens), device=tokens.device)]
        words = torch.cat([tokens, others], dim=1)
        own = torch.arange(words.shape[1], device=words.device) < tokens.shape[1]
        stays = torch.rand(words.shape, device=words.device) < torch.where(own, KEPT, STRANGE)
        sure = torch.rand(words.shape, device=words.device) + torch.where(own, MEAN_WEIGHT - 0.5, 0.0)
        weights = sure * (stays & self.content_words[words])
        weights = weights * (torch.rand(len(tokens), 1, device=tokens.device) >= ABSENT)
        return GAIN * (weights[:, None] @ self.decoder.embedding(words)).squeeze(1)


@torch.no_grad()
def regress_content(
    decoder: CaptionDecoder, pooled: Tensor, images: Sequence[CaptionedImage] | CaptionSet, vocabulary: Vocabulary
) -> None:
    """Set the layer that makes content vectors of features, by ridge regression.

    Args:
        decoder: its embeddings and its layer `content`.
        pooled: (photos, channels), the mean of each photo's features.
        images: the photos with their captions.
        vocabulary: the words of the embeddings.
    """
    kept = is_content(vocabulary)
    bags = torch.zeros(len(images), len(vocabulary))
    for row, image in enumerate(images):
        for tokens in image.tokens:
            bags[row, list({index for index in vocabulary.encode(tokens) if kept[index]})] += 1 / len(image.tokens)
    wanted = GAIN * KEPT * MEAN_WEIGHT * bags @ decoder.embedding.weight.cpu().float()
    mean, deviation, center = pooled.mean(0), pooled.std(0, correction=int(len(pooled) > 1)) + 1e-6, wanted.mean(0)
    inputs = (pooled - mean) / deviation
    gram = inputs.T @ inputs + RIDGE * len(inputs) * torch.eye(inputs.shape[1])
    weight = torch.linalg.solve(gram, inputs.T @ (wanted - center)) / deviation[:, None]
    decoder.content.weight.copy_(weight.T)
    decoder.content.bias.copy_(center - mean @ weight)
