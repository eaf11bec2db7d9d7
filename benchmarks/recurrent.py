"""Training speed of a language model, in words a second.

    python benchmarks/recurrent.py

Three ways to take the same training step (cross-entropy, gradients, clipping, AdamW) of the network of
`configs/ptb_small.yaml`, dropout included, on random words:

- ours: whole windows at once, as `captioner train` does it;
- loop: the same network and parameters, written as a plain PyTorch loop over recurrent cells;
- products: only the step's matrix products, at the speed that this machine reaches on a large square product.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from captioner.models.language_network import LanguageNetwork, NetworkConfig
from captioner.recurrent.units import State
from captioner.training.config import load_config
from captioner.training.language.objective import NextWord, Window

VOCABULARY = 10_002


class Loop(nn.Module):
    """The same step, one word of all streams at a time, from state to scores."""

    def __init__(self, network: LanguageNetwork, streams: int) -> None:
        super().__init__()
        self.network = network
        self.streams = streams
        sizes = [network.config.embedding_size] + [network.config.hidden_size] * network.config.layers
        self.cells = nn.ModuleList(nn.LSTMCell(*pair) for pair in pairwise(sizes))
        self.state: State = network.recurrent.initial_state(streams, like=network.bias)

    def forward(self, window: Window) -> tuple[Tensor, dict[str, float]]:
        """The mean cross-entropy of a window's words, as `NextWord` gives it."""
        network, config = self.network, self.network.config
        words = network._embed(window.tokens[:, :-1])
        state = [(self.state["h"][:, layer], self.state["c"][:, layer]) for layer in range(config.layers)]
        between = [network.recurrent.between(words.new_ones(self.streams, 1, config.hidden_size))[:, 0] for _ in state]
        last = network.output_dropout(words.new_ones(self.streams, 1, config.embedding_size))[:, 0]
        recurrent = [nn.functional.dropout(cell.weight_hh, config.weight_dropout) for cell in self.cells]
        losses = []
        for step in range(words.shape[1]):
            inputs = words[:, step]
            for layer, cell in enumerate(self.cells):
                weights = (cell.weight_ih, recurrent[layer], cell.bias_ih, cell.bias_hh)
                state[layer] = torch.lstm_cell(inputs, state[layer], *weights)
                inputs = state[layer][0]
                if layer < config.layers - 1:
                    inputs = inputs * between[layer]
            logits = network.logits(network.readout(inputs) * last)
            losses.append(nn.functional.cross_entropy(logits.float(), window.tokens[:, step + 1]))
        self.state = {name: torch.stack([pair[k] for pair in state], 1).detach() for k, name in enumerate("hc")}
        return torch.stack(losses).mean(), {"words": window.tokens[:, 1:].numel()}


def words_a_second(objective: nn.Module, tokens: Tensor, bfloat16: bool, seconds: float) -> float:
    """Training steps until the time is up, after two that do not count."""
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-4, fused=True)
    words, started, steps = 0.0, 0.0, -2
    while steps < 3 or time.perf_counter() - started < seconds:
        if steps == 0:
            words, started = 0.0, time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss, numbers = objective(Window(tokens, begins=steps == -2))
        loss.backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        words += numbers["words"]
        steps += 1
    return words / (time.perf_counter() - started)


def flops_a_word(config: NetworkConfig) -> float:
    """Multiplications and additions of the matrix products, forward and backward, for each word.

    A product of (m, k) and (k, n) takes 2mkn; its backward pass takes two such. Words are embedded by look-up.
    """
    hidden, width = config.hidden_size, config.embedding_size
    recurrent = sum(4 * hidden * ((hidden if layer else width) + hidden) for layer in range(config.layers))
    readout = hidden * width if hidden != width else 0
    return 3 * 2 * (recurrent + readout + width * VOCABULARY)


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
    settings = load_config(Path(__file__).parents[1] / "configs" / "ptb_small.yaml")
    config, stage = settings.network, settings.stages.language
    torch.manual_seed(0)
    tokens = torch.randint(4, VOCABULARY, (stage.batch_size, stage.steps + 1))
    flops = flops_a_word(config)
    print(
        f"{torch.get_num_threads()} threads, {stage.batch_size} streams x {stage.steps} words, "
        f"{flops / 1e6:.1f} MFLOP a word\n"
    )
    print("| arithmetic | ours | loop | products | ours / loop | ours / products |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        network = LanguageNetwork(config, VOCABULARY).train()
        bfloat16 = dtype is torch.bfloat16
        ours = words_a_second(NextWord(network, stage.batch_size), tokens, bfloat16, seconds)
        loop = words_a_second(Loop(network, stage.batch_size).train(), tokens, bfloat16, seconds)
        products = matrix_speed(dtype) / flops
        ratios = f"{ours / loop:.2f} | {ours / products:.2f}"
        print(f"| {name} | {ours:,.0f} | {loop:,.0f} | {products:,.0f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
