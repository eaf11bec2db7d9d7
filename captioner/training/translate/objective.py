"""What trains a translator: batches of pairs of sentences, their cross-entropy, and BLEU for validation."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from captioner.data.parallel import Pair
from captioner.models.translate import Translator
from captioner.models.translate_network import TranslationNetwork
from captioner.text.bpe import Subwords
from captioner.text.vocabulary import Vocabulary
from captioner.training.cross_entropy import linear_cross_entropy
from captioner.training.loop import Scores


@dataclass
class PairBatch:
    """What one training step reads.

    Attributes:
        sentences: (pairs, source steps) ids, padded behind.
        lengths: (pairs,) real pieces of each sentence.
        tokens: (pairs, steps), each translation from start to end, then padding.
    """

    sentences: Tensor
    lengths: Tensor
    tokens: Tensor

    def to(self, device: torch.device) -> "PairBatch":
        """The same batch on another device; lengths stay, since packing wants them on the CPU."""
        return PairBatch(self.sentences.to(device), self.lengths, self.tokens.to(device))


class PairItems(Dataset[tuple[list[int], list[int]]]):
    """Pairs as ids, cut anew in every epoch.

    Args:
        pairs: sentences and translations.
        subwords: cuts them.
        dropout: of merges ("BPE dropout").
        seed: of the cuts.
    """

    def __init__(self, pairs: Sequence[Pair], subwords: Subwords, dropout: float, seed: int) -> None:
        self.words = [(subwords.words(source), subwords.words(target)) for source, target in pairs]
        self.sampler = subwords.sampler(dropout, seed)
        self.seed = seed
        # both sides, so that neither is padded much
        self.lengths = [max(len(source), len(target)) for source, target in self.words]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, key: tuple[int, int]) -> tuple[list[int], list[int]]:
        item, epoch = key
        draw = random.Random(f"{self.seed}/{item}/{epoch}")
        source, target = self.words[item]
        return self.sampler.encode(source, draw), self.sampler.encode(target, draw)

    def collate(self, items: list[tuple[list[int], list[int]]]) -> PairBatch:
        """Pad both sides."""
        sources = [torch.tensor(source) for source, _ in items]
        targets = [torch.tensor([Vocabulary.start, *target, Vocabulary.end]) for _, target in items]
        return PairBatch(
            nn.utils.rnn.pad_sequence(sources, batch_first=True),
            torch.tensor([len(source) for source in sources]),
            nn.utils.rnn.pad_sequence(targets, batch_first=True),
        )


class TranslationLoss(nn.Module):
    """Mean cross-entropy of each next piece, padding left out.

    Args:
        network: to train.
        label_smoothing: probability mass spread evenly over all pieces.
    """

    def __init__(self, network: TranslationNetwork, label_smoothing: float) -> None:
        super().__init__()
        self.network = network
        self.label_smoothing = label_smoothing

    def forward(self, batch: PairBatch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and of how many pieces it is."""
        readout = self.network(batch.sentences, batch.lengths, batch.tokens[:, :-1])
        targets = batch.tokens[:, 1:]
        real = targets != Vocabulary.pad
        decoder = self.network.decoder
        loss = linear_cross_entropy(
            decoder.dropout(readout)[real], *decoder.output, targets[real], self.label_smoothing
        )
        return loss, {"pieces": int(real.sum())}


def validate(model: Translator, sets: Mapping[str, Sequence[Pair]]) -> tuple[float, Scores]:
    """BLEU and chrF of each set's translations, as sacrebleu computes them by default; the score is the mean BLEU.

    Args:
        model: with the weights to validate.
        sets: pairs, by a name.
    """
    from sacrebleu import corpus_bleu, corpus_chrf

    scores: Scores = {}
    for name, pairs in sets.items():
        written = [translation.text for translation in model.translate([source for source, _ in pairs])]
        references = [[target for _, target in pairs]]
        bleu, chrf = corpus_bleu(written, references), corpus_chrf(written, references)
        scores[name] = {"BLEU": float(bleu.score), "chrF": float(chrf.score)}
    return sum(each["BLEU"] for each in scores.values()) / len(scores), scores
