"""What trains a reader: CTC's loss (Graves et al., 2006) of the texts, summed over every way to spread them."""

import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from captioner.models.read_network import ReaderNetwork
from captioner.training.read.batches import LineBatch


class Ctc(nn.Module):
    """CTC's loss of a reader, a character.

    Args:
        network: to train.
    """

    def __init__(self, network: ReaderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: LineBatch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and how many characters and lines it has."""
        logits = self.network(batch.pixels)
        log_probs = logits.float().log_softmax(dim=-1).transpose(0, 1)
        columns = torch.full_like(batch.lengths, len(log_probs))
        loss = ctc_loss(log_probs, batch.targets, columns, batch.lengths, reduction="sum")
        characters = int(batch.lengths.sum())
        return loss / max(characters, 1), {"characters": characters, "lines": len(batch.lengths)}
