"""How well sentences fit photos, told by a captioner as it is, which was trained to write and not to rank.

A sentence fits a photo as far as the photo makes it more probable: log p(sentence | photo) less a share of
log p(sentence). For one sentence the second term is the same for all photos; among several sentences it keeps the
common and the short ones from fitting everything (Li et al., 2016, "A Diversity-Promoting Objective Function").
What the decoder reads of a photo is computed once, so that a pair costs the words of its sentence and nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captioner.models.caption_network import CaptionDecoder
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Features

_PAIRS = 256  # at a time, whose scores of all words fit into 100 MB


@dataclass(frozen=True)
class Prepared:
    """Photos as a decoder reads sentences against them.

    Attributes:
        state: after the picture, (photos, layers, hidden) each.
        context: what all words read of each photo, (photos, ...) each.
    """

    state: dict[str, Tensor]
    context: dict[str, Tensor]

    @classmethod
    def of(cls, decoder: CaptionDecoder, features: Features) -> "Prepared":
        """The photos with these features."""
        return cls(*decoder.start(features.to(decoder.bias.device).to(decoder.bias.dtype)))

    @classmethod
    def join(cls, parts: Sequence["Prepared"]) -> "Prepared":
        """All photos of several."""
        first = parts[0]
        return cls(
            {name: torch.cat([part.state[name] for part in parts]) for name in first.state},
            {name: torch.cat([part.context[name] for part in parts]) for name in first.context},
        )

    def __len__(self) -> int:
        return len(next(iter(self.state.values())))

    def __getitem__(self, photos: slice | Tensor | list[int]) -> "Prepared":
        return Prepared(
            {name: value[photos] for name, value in self.state.items()},
            {name: value[photos] for name, value in self.context.items()},
        )


def fits(
    decoder: CaptionDecoder, photos: Iterable[Prepared], sentences: Sequence[Sequence[int]], share: float
) -> Tensor:
    """How well sentences fit photos: log p(sentence | photo) - share * log p(sentence).

    Args:
        decoder: the captioner's network.
        photos: as prepared by the same decoder, some at a time.
        sentences: ids of their tokens.
        share: of log p(sentence).

    Returns:
        (photos, sentences) in float32 on the CPU.
    """
    rows = [log_probs(decoder, several, sentences) for several in photos]
    if not rows:
        return torch.empty(0, len(sentences))
    found = torch.cat(rows)
    return found - share * log_probs(decoder, None, sentences) if share else found


@torch.inference_mode()
def log_probs(decoder: CaptionDecoder, photos: Prepared | None, sentences: Sequence[Sequence[int]]) -> Tensor:
    """log p(sentence | photo), the end included.

    Args:
        decoder: the captioner's network.
        photos: as prepared by the same decoder; None for log p(sentence), from the decoder without a picture.
        sentences: ids of their tokens.

    Returns:
        (photos, sentences) in float32 on the CPU, one row without photos.
    """
    count = 1 if photos is None else len(photos)
    found = torch.empty(count, len(sentences))
    order = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))  # little padding in a block
    several = max(16, _PAIRS // count)
    rows = max(1, _PAIRS // min(several, max(len(sentences), 1)))
    for first in range(0, len(order), several):
        places = order[first : first + several]
        ids = [torch.tensor([Vocabulary.start, *sentences[place], Vocabulary.end]) for place in places]
        tokens = nn.utils.rnn.pad_sequence(ids, batch_first=True).to(decoder.bias.device)
        for row in range(0, count, rows):
            part = None if photos is None else photos[row : row + rows]
            found[row : row + rows, places] = _of_block(decoder, part, tokens).cpu()
    return found


def _of_block(decoder: CaptionDecoder, photos: Prepared | None, tokens: Tensor) -> Tensor:
    """log p (photos, sentences) of tokens (sentences, steps), each from start to end."""
    count = 1 if photos is None else len(photos)
    every = tokens.expand(count, -1, -1)
    if photos is None:
        readout = decoder(None, every[..., :-1])
    else:
        readout, _ = decoder.follow(every[..., :-1], photos.state, photos.context)
    targets = every[..., 1:]
    real = targets != Vocabulary.pad
    logits = decoder.logits(readout[real]).float()
    each = logits.gather(-1, targets[real].unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
    words = each.new_zeros(targets.shape)
    words[real] = each
    return words.sum(-1)
