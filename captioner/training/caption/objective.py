"""What training minimises: cross-entropy on captions, and minus CIDEr-D by policy gradient.

An objective is a module around the networks it trains, so that data-parallel wrappers see every parameter.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captioner.decoding.sampling import sample_tokens
from captioner.metrics.cider import CiderD
from captioner.models.caption_network import CaptionDecoder
from captioner.recurrent.units import LockedDropout
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import Batch
from captioner.training.caption.matching import Matching
from captioner.training.cross_entropy import linear_cross_entropy
from captioner.vision.encoder import Encoder, Features

if TYPE_CHECKING:
    from captioner.models.video_caption import VideoDecoder


class CrossEntropy(nn.Module):
    """Mean cross-entropy a word, padding left out.

    Args:
        decoder: the network that writes.
        encoder: the CNN where it is trained too; otherwise batches bring features.
        label_smoothing: probability mass spread evenly over all words (Szegedy et al., 2016).
        matching: weight of a second aim, see `Matching`; 0 for none.
    """

    def __init__(
        self,
        decoder: "CaptionDecoder | VideoDecoder",
        encoder: Encoder | None,
        label_smoothing: float,
        matching: float = 0.0,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.encoder = encoder
        self.label_smoothing = label_smoothing
        self.weight = matching
        self.matching: Matching | None = None
        if matching:
            assert encoder is not None
            assert isinstance(decoder, CaptionDecoder)
            self.matching = Matching(decoder.config.embedding_size, encoder.channels)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and how many words it is of."""
        features = batch.features
        if self.encoder is not None and batch.pixels is not None:
            features = Features.of(self.encoder(batch.pixels))
        readout = self.decoder(features, batch.tokens[..., :-1])
        targets = batch.tokens[..., 1:]
        real = targets != Vocabulary.pad
        weight, bias = self.decoder.output
        loss = linear_cross_entropy(readout[real], weight, bias, targets[real], self.label_smoothing)
        numbers: dict[str, float] = {"words": int(real.sum())}
        if self.matching is not None:
            assert features is not None
            matching = self.matching(self.decoder, features.pooled, batch.tokens)
            loss = loss + self.weight * matching
            numbers["matching"] = float(matching.detach())
        return loss, numbers


class SelfCritical(nn.Module):
    """Policy gradient on CIDEr-D (Rennie et al., 2017).

    Each photo's samples are one another's baseline: a sample's advantage is its reward less the others' mean (Luo,
    2020, arXiv:2003.09971). The end counts as a word of samples and references, or captions would learn to break off.
    There is no dropout: the policy whose gradient is taken must be the one that was sampled.

    Args:
        decoder: the network that writes.
        vocabulary: its words.
        references: for each photo's name, its captions' tokens.
        samples: captions drawn for each photo, at least 2.
        max_length: of a sample, in words.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        vocabulary: Vocabulary,
        references: dict[str, list[list[str]]],
        samples: int,
        max_length: int,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.vocabulary = vocabulary
        self.samples = samples
        self.max_length = max_length
        for module in decoder.modules():
            if isinstance(module, LockedDropout):
                module.probability = 0.0
            elif isinstance(module, nn.RNNBase):
                module.dropout = 0.0
        end = vocabulary.tokens[vocabulary.end]
        self.reward = CiderD({name: [[*words, end] for words in several] for name, several in references.items()})

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The surrogate loss of a batch, whose gradient is the policy's, and its mean reward."""
        drawn, rewards = self._draw(batch)
        advantage = (rewards - rewards.mean(1, keepdim=True)) * self.samples / (self.samples - 1)
        start = drawn.new_full((*drawn.shape[:2], 1), self.vocabulary.start)
        readout = self.decoder(batch.features, torch.cat([start, drawn[..., :-1]], dim=-1))
        real = drawn != self.vocabulary.pad
        logits = self.decoder.logits(readout[real]).float()
        # samples never contain these, so their probability is not the policy's
        logits[:, [self.vocabulary.pad, self.vocabulary.start, self.vocabulary.unk]] = -torch.inf
        log_probabilities = logits.log_softmax(-1).gather(-1, drawn[real].unsqueeze(-1)).squeeze(-1)
        weights = advantage.to(log_probabilities).unsqueeze(-1).expand(drawn.shape)[real]
        loss = -(weights * log_probabilities).sum() / real.sum()
        return loss, {"words": int(real.sum()), "reward": float(rewards.mean())}

    def _draw(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Samples (photos, samples, steps) and their rewards (photos, samples)."""
        features: Any = batch.features
        with torch.no_grad():
            state, context = self.decoder.start(features)
            drawn = sample_tokens(self.decoder, state, context, self.samples, self.max_length)
        words = [self._words(ids) for several in drawn.tolist() for ids in several]
        names = [name for name in batch.names for _ in range(self.samples)]
        rewards = torch.from_numpy(self.reward.scores(names, words)).to(drawn.device)
        return drawn, rewards.view(drawn.shape[:2])

    def _words(self, ids: list[int]) -> list[str]:
        """The words with the end, if it was drawn: a caption that was cut off is not rewarded for ending."""
        return [self.vocabulary.tokens[index] for index in ids if index != self.vocabulary.pad]
