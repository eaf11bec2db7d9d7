"""Beam search over all images and hypotheses of a batch at once.

At each step the `beam_size` best continuations of an image's unfinished hypotheses are kept. A hypothesis that ends
there leaves the beam and competes, by its length-normalised score, for one of the `num_captions` places in the result.
One that would score no better than the worst finished one that is kept, even if it ended now with probability 1, leaves
the beam too, and an image without any other is finished. Without length normalisation this bound is exact; with it, a
hypothesis that grows much longer at little cost could in principle still win. With a beam of one this is greedy search.
Where a `threshold` is set, those that lie too far below the best leave as well (Freitag and Al-Onaizan, 2017), which on
a CPU saves their arithmetic; `num_captions` that lie above them always stay, so as many are found as without.
"""

from dataclasses import replace

import torch
from torch import Tensor

from captioner.decoding.steps import (
    DecodingConfig,
    Hypothesis,
    Rows,
    StepModel,
    Tensors,
    ban_repeats,
    batch_size,
    take_beams,
    take_images,
    to_hypotheses,
)
from captioner.text.vocabulary import SPECIALS, Vocabulary

BLOCK = 64  # words of which one maximum is taken before the best are searched
CACHED = 2**18  # float32 numbers, 1 MB
TOGETHER = 8  # images and hypotheses leave in groups of this size, because oneDNN prepares anew for each batch size


@torch.no_grad()
def beam_search(
    model: StepModel, state: Tensors, context: Tensors, options: DecodingConfig, return_attention: bool = False
) -> list[list[Hypothesis]]:
    """Search for the most probable captions.

    `<pad>`, `<start>` and `<unk>` are never chosen, but keep their share of probability: log-probabilities are not
    renormalised. A hypothesis of `max_length` words is closed with the end, whose log-probability counts.

    Args:
        model: steps the hypotheses.
        state: (B, ...) before `<start>` is read.
        context: (B, ...).
        options: see `DecodingConfig`.
        return_attention: keep the attention weights, if the model gives them.

    Returns:
        for each image the `num_captions` best hypotheses, best first; fewer only where the vocabulary is so small that
        there are no more.
    """
    count, device = batch_size(state | context), next(iter((state | context).values())).device
    results = _Results(count, options, device)
    images = torch.arange(count, device=device)
    rows = Rows(count, 1)
    tokens = torch.full((count,), Vocabulary.start, device=device)
    # the unfinished hypotheses; one that leaves the beam leaves a place of log-probability -inf behind
    beams = {
        "total": torch.zeros(count, 1, device=device),
        "words": torch.full((count, 1, options.max_length + 1), Vocabulary.pad, device=device),
        "each": torch.zeros(count, 1, options.max_length + 1, device=device),
    }
    for length in range(options.max_length + 1):
        logits, state, attention = model.step(tokens, state, context, rows)
        if return_attention and attention is not None:
            if length == 0:
                beams["attention"] = attention.new_zeros(*beams["words"].shape, attention.shape[-1])
            beams["attention"][:, :, length] = rows.spread(attention)
        log_probs, chosen, parents = _best_continuations(logits, beams, rows, length, options)
        beams, parents = take_beams(beams, parents), rows.find(parents)
        beams["total"] += log_probs
        beams["words"][:, :, length] = chosen
        beams["each"][:, :, length] = log_probs

        ended = chosen == Vocabulary.end
        if ended.any():
            results.add(images, beams, ended, length)
        gone = ended | results.hopeless(images, beams["total"], length + 1)
        beams["total"].masked_fill_(gone, -torch.inf)
        if options.threshold and gone.shape[1] > options.num_captions:
            gone |= _far_below(beams["total"], options)
            beams["total"].masked_fill_(gone, -torch.inf)
        finished = gone.all(1)
        unfinished = len(images) - int(finished.sum())
        if unfinished == 0:
            break
        if (width := -(-unfinished // TOGETHER) * TOGETHER) < len(images):
            rest = finished.int().argsort(stable=True)[:width]
            images, chosen, parents, gone = images[rest], chosen[rest], parents[rest], gone[rest]
            beams, context = take_images(beams, rest), take_images(context, rest)
        rows = _rows(gone)
        tokens, state = rows.pick(chosen), take_images(state, rows.pick(parents))
    return to_hypotheses(results.kept, options.max_length)


def _far_below(totals: Tensor, options: DecodingConfig) -> Tensor:
    """Which hypotheses (M, K) lie below the last of the `num_captions` best by more than the threshold.

    Args:
        totals: (M, K), -inf where there is no hypothesis.
        options: the search's.
    """
    best = totals.topk(options.num_captions).values
    return totals < best[:, -1:] - options.threshold


def _rows(gone: Tensor) -> Rows:
    """The hypotheses that are stepped: not those that are gone (B, K), but for some that fill a group."""
    every, count = Rows(*gone.shape), gone.numel()
    if gone.is_cuda or count <= TOGETHER:  # a GPU would be waited for
        return every
    width = -(-(count - int(gone.sum())) // TOGETHER) * TOGETHER
    return replace(every, places=gone.flatten().int().argsort(stable=True)[:width]) if width < count else every


def _best_continuations(
    logits: Tensor, beams: Tensors, rows: Rows, length: int, options: DecodingConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose among all continuations of each image's unfinished hypotheses.

    Args:
        logits: (N, V).
        beams: the K hypotheses of each image.
        rows: which of them were stepped.
        length: their number of words.
        options: the search's.

    Returns:
        log-probabilities of the tokens chosen, the tokens, and the hypotheses that they continue; (B, beam_size) each.
    """
    # on a CPU some hypotheses at a time, so that what is read several times stays in a core's cache
    several = len(logits) if logits.is_cuda else max(1, CACHED // logits.shape[-1])
    words = rows.pick(beams["words"][:, :, :length]).split(several)
    some = [_continuations(*each, options) for each in zip(logits.split(several), words, strict=True)]
    log_probs, tokens = (rows.spread(torch.cat(each)) for each in zip(*some, strict=True))
    totals = (beams["total"].unsqueeze(-1) + log_probs).flatten(1)
    chosen = totals.topk(min(options.beam_size, totals.shape[1])).indices
    return log_probs.flatten(1).gather(1, chosen), tokens.flatten(1).gather(1, chosen), chosen // log_probs.shape[-1]


def _continuations(logits: Tensor, words: Tensor, options: DecodingConfig) -> tuple[Tensor, Tensor]:
    """The best next words of each hypothesis, and the end: their log-probabilities and ids.

    Args:
        logits: (N, V).
        words: (N, t), the words so far.
        options: the search's.

    Returns:
        (N, C) each, C as few as the search can need.
    """
    length, vocabulary_size = words.shape[-1], logits.shape[-1]
    blocks = _in_blocks(logits)
    padded = blocks.flatten(1)
    if options.no_repeat_ngram:
        ban_repeats(padded[..., :vocabulary_size], words, options.no_repeat_ngram)
    end_log_probs = padded[..., Vocabulary.end, None].clone()
    padded[..., : len(SPECIALS)] = -torch.inf
    # an image cannot take more than beam_size words from one hypothesis
    width = 0 if length == options.max_length else min(options.beam_size, vocabulary_size - len(SPECIALS))
    log_probs, tokens = _best_words(blocks, width)
    tokens.clamp_(max=vocabulary_size - 1)  # where too few words are allowed, a spare place of value -inf is found
    if length >= options.min_length:
        log_probs = torch.cat([log_probs, end_log_probs], -1)
        tokens = torch.cat([tokens, torch.full_like(end_log_probs, Vocabulary.end, dtype=torch.long)], -1)
    # rounding must not lift a probability above 1, or the bound by which an image is finished would not hold
    return log_probs.clamp_(max=0), tokens


def _in_blocks(logits: Tensor) -> Tensor:
    """Log-probabilities of logits (N, V): (N, blocks, BLOCK) in float32, -inf in the spare places of the last."""
    count, size = logits.shape
    blocks = -(-size // BLOCK)
    padded = logits.new_empty((count, blocks * BLOCK), dtype=torch.float32)
    padded[:, :size] = logits
    padded[:, size:] = -torch.inf
    return padded.log_softmax(-1).unflatten(-1, (blocks, BLOCK))  # half the time of `logsumexp` on a CPU


def _best_words(blocks: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` best values of (N, blocks, BLOCK), and their places among all: (N, width) each.

    They are in the `width` blocks with the greatest maxima; looking there only is several times faster than a `topk`
    over the vocabulary, which on a CPU takes longer than the product that made the logits.
    """
    best = blocks.amax(-1).topk(min(width, blocks.shape[1])).indices
    found = blocks.gather(1, best.unsqueeze(-1).expand(-1, -1, BLOCK)).flatten(1)
    values, places = found.topk(width)
    return values, best.gather(-1, places // BLOCK) * BLOCK + places % BLOCK


class _Results:
    """The best ended hypotheses of every image so far: `kept`, in the form that `to_hypotheses` takes."""

    def __init__(self, count: int, options: DecodingConfig, device: torch.device) -> None:
        size = (count, options.num_captions)
        self.options = options
        self.kept: Tensors = {
            "score": torch.full(size, -torch.inf, device=device),
            "length": torch.zeros(size, dtype=torch.long, device=device),
            "total": torch.zeros(size, device=device),
            "words": torch.zeros(*size, options.max_length + 1, dtype=torch.long, device=device),
            "each": torch.zeros(*size, options.max_length + 1, device=device),
        }

    def add(self, images: Tensor, beams: Tensors, ended: Tensor, length: int) -> None:
        """Keep those hypotheses that end here and are better than what is kept.

        Args:
            images: (M,), the images that the rows of `beams` belong to.
            beams: their hypotheses, (M, K, ...).
            ended: (M, K), which end here.
            length: their number of words.
        """
        if "attention" in beams and "attention" not in self.kept:
            size, shape = self.kept["score"].shape, beams["attention"].shape
            self.kept["attention"] = beams["attention"].new_zeros(*size, *shape[2:])
        scores = beams["total"] / (length + 1) ** self.options.length_penalty
        candidates = beams | {
            "score": scores.masked_fill(~ended, -torch.inf),
            "length": torch.full_like(ended, length, dtype=torch.long),
        }
        both = {name: torch.cat([kept[images], candidates[name]], 1) for name, kept in self.kept.items()}
        places = both["score"].topk(self.options.num_captions).indices
        for name, tensor in take_beams(both, places).items():
            self.kept[name][images] = tensor

    def hopeless(self, images: Tensor, totals: Tensor, length: int) -> Tensor:
        """Which unfinished hypotheses (M, K) can no longer have one of the places.

        Args:
            images: (M,).
            totals: (M, K), log-probabilities of their hypotheses, -inf where there is none.
            length: number of words of the hypotheses.
        """
        bound = totals / (length + 1) ** self.options.length_penalty
        return self.kept["score"][images, -1:] >= bound
