"""What trains a language model: windows over a stream of words, or lines of their own, and their cross-entropy."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from captioner.models.language import LanguageModel, TextScore
from captioner.models.language_network import LanguageNetwork
from captioner.recurrent.units import State
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import LengthBuckets
from captioner.training.cross_entropy import linear_cross_entropy
from captioner.training.loop import Scores

STREAMS = 32  # that validation reads side by side: each but the first begins without the words before it


@dataclass
class Window:
    """What one training step reads.

    Attributes:
        tokens: (streams, steps + 1); each word but the last is read, each but the first is predicted.
        begins: nothing stands before it.
    """

    tokens: Tensor
    begins: bool

    def to(self, device: torch.device) -> "Window":
        """The same window on another device."""
        return Window(self.tokens.to(device), self.begins)


class Windows(Dataset[Window]):
    """A text as parallel streams, cut into windows that follow each other.

    Each epoch the text is turned to begin at another word, so that streams and windows are cut at other places.

    Args:
        ids: of the text.
        streams: side by side.
        steps: of a window, over which gradients are propagated.
        seed: of the places.
    """

    def __init__(self, ids: Tensor, streams: int, steps: int, seed: int) -> None:
        self.ids = ids
        self.streams = streams
        self.steps = steps
        self.seed = seed
        self.length = (len(ids) - 1) // streams

    def __len__(self) -> int:
        return -(-self.length // self.steps)

    def __getitem__(self, key: tuple[int, int]) -> Window:
        window, epoch = key
        turn = random.Random(f"{self.seed}/{epoch}").randrange(len(self.ids))
        first = window * self.steps
        steps = torch.arange(first, min(first + self.steps, self.length) + 1)
        places = turn + torch.arange(self.streams)[:, None] * self.length + steps
        return Window(self.ids[places % len(self.ids)], begins=window == 0)


class InOrder(Sampler[list[tuple[int, int]]]):
    """Single windows one after the other; `epoch` says which cut of the text they are of."""

    drop_last = False

    def __init__(self, count: int) -> None:
        self.count = count
        self.epoch = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for window in range(self.count):
            yield [(window, self.epoch)]


class Lines(Dataset[list[int]]):
    """Lines, each on its own."""

    def __init__(self, lines: Sequence[list[int]]) -> None:
        self.lines = [[Vocabulary.end, *line] for line in lines]
        self.lengths = [len(line) for line in self.lines]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, key: tuple[int, int]) -> list[int]:
        return self.lines[key[0]]


def window_loader(ids: Tensor, streams: int, steps: int, seed: int) -> DataLoader[Window]:
    """A loader of `Windows` in their order."""
    windows = Windows(ids, streams, steps, seed)
    # its own generator: starting an epoch must not draw from the one that dropout uses, or a resumed run would differ
    own = torch.Generator()
    return DataLoader(windows, batch_sampler=InOrder(len(windows)), collate_fn=lambda one: one[0], generator=own)


def line_loader(lines: Sequence[list[int]], batch_size: int, seed: int) -> DataLoader[Window]:
    """A loader of length-bucketed batches of lines."""
    items = Lines(lines)

    def collate(several: list[list[int]]) -> Window:
        return Window(nn.utils.rnn.pad_sequence([torch.tensor(line) for line in several], batch_first=True), True)

    buckets = LengthBuckets(items.lengths, batch_size, seed)
    return DataLoader(items, batch_sampler=buckets, collate_fn=collate, generator=torch.Generator())  # type: ignore[arg-type]


class NextWord(nn.Module):
    """Mean cross-entropy of each next word, by back-propagation that is truncated at the windows' ends.

    A window begins with the state after the window before it. The state is a buffer, so checkpoints hold it.

    Args:
        network: to train.
        streams: side by side, where windows follow each other; None where each batch begins afresh.
    """

    def __init__(self, network: LanguageNetwork, streams: int | None) -> None:
        super().__init__()
        self.network = network
        self.carries = streams is not None
        if streams is not None:
            for name, value in network.recurrent.initial_state(streams, like=network.bias).items():
                self.register_buffer(f"state_{name}", value.detach())

    def forward(self, window: Window) -> tuple[Tensor, dict[str, float]]:
        """The loss of a window, and of how many words it is."""
        state: State | None = None
        if self.carries and not window.begins:
            # copies, because the backward pass wants the state as it was read
            state = {name.removeprefix("state_"): value.clone() for name, value in self.named_buffers(recurse=False)}
        readout, state = self.network(window.tokens[:, :-1], state)
        if self.carries:
            for name, value in state.items():
                getattr(self, f"state_{name}").copy_(value.detach())
        targets = window.tokens[:, 1:]
        real = targets != Vocabulary.pad
        loss = linear_cross_entropy(readout[real], self.network.embedding.weight, self.network.bias, targets[real])
        return loss, {"words": int(real.sum())}


def validate(model: LanguageModel, texts: Mapping[str, Sequence[str]], *, stream: bool) -> tuple[float, Scores]:
    """Perplexity of each text; the score is minus the mean log-perplexity of all words.

    Args:
        model: with the weights to validate.
        texts: lines, by a name.
        stream: predict words from the lines before, too.
    """
    scores: Scores = {}
    total = TextScore(0.0, 0, 0)
    for name, lines in texts.items():
        if stream:
            ids = torch.tensor([id for line in model.encode(lines) for id in line])
            streams = min(STREAMS, max(len(ids) // 100, 1))
            score = model.score_stream(ids[: len(ids) // streams * streams].view(streams, -1))
        else:
            score = sum(model.score_lines(lines), start=TextScore(0.0, 0, 0))
        scores[name] = {"perplexity": score.perplexity}
        total += score
    return total.log_probability / total.tokens, scores
