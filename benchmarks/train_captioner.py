"""Training speed of the caption decoder on cached features, in words a second.

    python benchmarks/train_captioner.py

Three ways to take the same training step (cross-entropy, gradients, clipping, AdamW):

- ours: the whole teacher-forced batch at once, as `captioner train` does it;
- loop: the same network and parameters, written as a loop over recurrent cells;
- products: only the step's matrix products, at the speed that this machine reaches on a large square product.
"""

import argparse
import time

import torch
from torch import Tensor, nn

from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.training.batches import Batch
from captioner.training.caption.objective import CrossEntropy

PHOTOS, CAPTIONS, REGIONS, CHANNELS, VOCABULARY = 64, 5, 49, 1280, 5200
# lengths of captions in words: a length-bucketed batch of photos by their longest caption
LENGTHS = (9, 10, 11, 13, 16)


def make_batch() -> Batch:
    steps = max(LENGTHS) + 2
    tokens = torch.zeros(PHOTOS, CAPTIONS, steps, dtype=torch.long)
    for column, length in enumerate(LENGTHS):
        tokens[:, column, 0] = 1
        tokens[:, column, 1 : length + 1] = torch.randint(4, VOCABULARY, (PHOTOS, length))
        tokens[:, column, length + 1] = 2
    return Batch(tokens, torch.randn(PHOTOS, REGIONS, CHANNELS))


class Loop(nn.Module):
    """The decoder's network as a loop over cells: one word of all captions at a time, from state to scores."""

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        fused = decoder.recurrent.network
        self.cell = nn.LSTMCell(fused.input_size, fused.hidden_size)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The mean cross-entropy of the batch's words, as `CrossEntropy` gives it."""
        decoder, features = self.decoder, batch.features
        assert features is not None
        words = decoder._embed(batch.tokens[..., :-1]).flatten(0, 1)
        first = decoder._first_input(features, None, PHOTOS, words)
        state = self.cell(first.repeat_interleave(CAPTIONS, dim=0))
        context = decoder._context(features, None)
        losses = []
        targets = batch.tokens[..., 1:].flatten(0, 1)
        for step in range(words.shape[1]):
            state = self.cell(words[:, step], state)
            states = decoder.dropout(state[0].view(PHOTOS * CAPTIONS, 1, -1)).view(PHOTOS, CAPTIONS, -1)
            readout, _ = decoder._read_out(states, context)
            logits = decoder.logits(readout).float().flatten(0, 1)
            losses.append(
                nn.functional.cross_entropy(
                    logits, targets[:, step], reduction="sum", label_smoothing=0.1, ignore_index=0
                )
            )
        real = int((targets != 0).sum())
        return torch.stack(losses).sum() / real, {"words": real}


def words_a_second(objective: nn.Module, batch: Batch, bfloat16: bool, seconds: float) -> float:
    """Training steps until the time is up, after two that do not count."""
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-4, fused=True)
    words, started, steps = 0, 0.0, -2
    while steps < 3 or time.perf_counter() - started < seconds:
        if steps == 0:
            words, started = 0, time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss, numbers = objective(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        words += int(numbers["words"])
        steps += 1
    return words / (time.perf_counter() - started)


def flops_a_word(config: DecoderConfig, steps: int, words: int) -> float:
    """Multiplications and additions of the step's matrix products, forward and backward, for each real word.

    A product of (m, k) and (k, n) takes 2mkn; its backward pass takes two such. Features need no gradient. Words are
    embedded by look-up. Padding is read by the recurrent network and the attention, but not by the vocabulary.
    """
    hidden, width = config.hidden_size, config.embedding_size
    rows = PHOTOS * CAPTIONS * steps
    recurrent = 3 * 2 * (rows + PHOTOS * CAPTIONS) * 4 * hidden * (width + hidden)
    query_and_readout = 3 * 2 * rows * (hidden * hidden + 2 * hidden * width)
    attention = 3 * 2 * rows * REGIONS * hidden * 2
    features = 2 * 2 * PHOTOS * (REGIONS * CHANNELS * hidden + CHANNELS * width)
    vocabulary = 3 * 2 * words * width * VOCABULARY
    return (recurrent + query_and_readout + attention + features + vocabulary) / words


def matrix_speed(dtype: torch.dtype, size: int = 2048, seconds: float = 2.0) -> float:
    """Operations a second of a large square product."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    a @ b
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        a @ b
        count += 1
    return 2 * size**3 * count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each measurement")
    seconds = parser.parse_args().seconds
    torch.manual_seed(0)
    batch = make_batch()
    config = DecoderConfig.model_validate({})
    words = int((batch.tokens[..., 1:] != 0).sum())
    flops = flops_a_word(config, batch.tokens.shape[-1] - 1, words)
    print(f"{torch.get_num_threads()} threads, {PHOTOS} photos x {CAPTIONS} captions, {flops / 1e6:.1f} MFLOP a word\n")
    print("| arithmetic | ours | loop | products | ours / loop | ours / products |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        decoder = CaptionDecoder(config, CHANNELS, VOCABULARY).train()
        bfloat16 = dtype is torch.bfloat16
        ours = words_a_second(CrossEntropy(decoder, None, 0.1), batch, bfloat16, seconds)
        loop = words_a_second(Loop(decoder).train(), batch, bfloat16, seconds)
        products = matrix_speed(dtype) / flops
        ratios = f"{ours / loop:.2f} | {ours / products:.2f}"
        print(f"| {name} | {ours:,.0f} | {loop:,.0f} | {products:,.0f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
