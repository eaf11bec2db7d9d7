"""Random captions, word by word from the model's distribution: for variety, and for self-critical training."""

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
from captioner.text.vocabulary import Vocabulary

_NEVER = (Vocabulary.pad, Vocabulary.start, Vocabulary.unk)

_LEAST_TOP_P = 1e-30  # which float32 still tells from the 0 before the first word


@torch.no_grad()
def sample_tokens(
    model: StepModel,
    state: Tensors,
    context: Tensors,
    num_samples: int,
    max_length: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw several captions for each image, all in one batch and without gradients.

    Words are drawn from the model's distribution without `<pad>`, `<start>` and `<unk>`.

    Args:
        model: steps the samples.
        state: (B, ...) before `<start>` is read.
        context: (B, ...).
        num_samples: S, captions an image.
        max_length: of a caption, in words.
        temperature: divides the logits.
        generator: for repeatable draws; on any device.

    Returns:
        (B, S, T): words, the end, then padding. A caption of `max_length` words has no end, for none was drawn; so
        T is at most `max_length`.
    """
    options = DecodingConfig(
        "sample", num_captions=num_samples, min_length=0, max_length=max_length, temperature=temperature
    )
    return _sample(model, state, context, options, generator, record=False)["words"]


@torch.no_grad()
def sample_search(
    model: StepModel, state: Tensors, context: Tensors, options: DecodingConfig, return_attention: bool = False
) -> list[list[Hypothesis]]:
    """Draw `num_captions` captions for each image as the options say, the best by length-normalised score first.

    Arguments and closing at `max_length` are `beam_search`'s, and so are the log-probabilities: the model's own, from
    before temperature and masks. With a seed, a caption depends on its image's place in the batch, and on nothing else
    in it.
    """
    generator = None if options.seed is None else torch.Generator().manual_seed(options.seed)
    drawn = _sample(model, state, context, options, generator, record=True)
    if not return_attention:
        drawn.pop("attention", None)
    drawn["total"] = drawn["each"].sum(-1)
    drawn["length"] = (drawn["words"] == Vocabulary.end).long().argmax(-1)
    drawn["score"] = drawn["total"] / (drawn["length"] + 1) ** options.length_penalty
    return to_hypotheses(take_beams(drawn, drawn["score"].argsort(1, descending=True)), options.max_length)


def _sample(
    model: StepModel,
    state: Tensors,
    context: Tensors,
    options: DecodingConfig,
    generator: torch.Generator | None,
    record: bool,
) -> Tensors:
    """Draw `words` (B, S, T).

    With `record` they are closed at `max_length`, and `each` log-probability and the attention weights are kept too.
    """
    count, device = batch_size(state | context), next(iter((state | context).values())).device
    size, steps = (count, options.num_captions), options.max_length + record
    # all draws at once, so that images that leave the batch early do not change the others' draws
    uniform = torch.rand(*size, steps, generator=generator, device=generator.device if generator else device).to(device)
    kept = {"words": torch.full((*size, steps), Vocabulary.pad, device=device)}
    images = torch.arange(count, device=device)
    rows = Rows(count, 1)
    tokens = torch.full((count, 1), Vocabulary.start, device=device)
    unfinished = torch.ones(size, dtype=torch.bool, device=device)
    for length in range(steps):
        logits, state, attention = model.step(tokens.flatten(), state, context, rows)
        made = {"logits": logits.float()} | ({} if attention is None or not record else {"attention": attention})
        made = {name: rows.spread(tensor) for name, tensor in made.items()}
        if length == 0:
            copies = images.new_zeros(size)
            made, state = take_beams(made, copies), take_images(state, rows.find(copies).flatten())
            rows = Rows(*size)
        if length == options.max_length:
            tokens = torch.full_like(unfinished, Vocabulary.end, dtype=torch.long)
        else:
            words = kept["words"][images, :, :length]
            tokens = _draw(_allowed(made["logits"], words, options), uniform[images, :, length], options)
        tokens = tokens.masked_fill(~unfinished, Vocabulary.pad)
        kept["words"][images, :, length] = tokens
        if record:
            log_probs = made["logits"].gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - made["logits"].logsumexp(-1)
            made["each"] = log_probs.masked_fill(~unfinished, 0)
            for name in made.keys() - {"logits"}:
                if length == 0:
                    kept[name] = made[name].new_zeros(*size, steps, *made[name].shape[2:])
                kept[name][images, :, length] = made[name]
        unfinished = unfinished & (tokens != Vocabulary.end)
        rest = unfinished.any(1).nonzero().squeeze(1)
        if len(rest) == 0:
            break
        if len(rest) < len(images):
            images, tokens, unfinished = images[rest], tokens[rest], unfinished[rest]
            every = torch.arange(size[1], device=device).expand(rows.images, -1)
            state, context = take_images(state, rows.find(every)[rest].flatten()), take_images(context, rest)
            rows = Rows(len(rest), size[1])
    return {name: tensor[:, :, : length + 1] for name, tensor in kept.items()}


def _allowed(logits: Tensor, words: Tensor, options: DecodingConfig) -> Tensor:
    """Logits (B, S, V) at the options' temperature, -inf for tokens that must not follow `words` (B, S, t)."""
    scaled = logits / options.temperature
    scaled[..., _NEVER] = -torch.inf
    if words.shape[-1] < options.min_length:
        scaled[..., Vocabulary.end] = -torch.inf
    if options.no_repeat_ngram:
        ban_repeats(scaled, words, options.no_repeat_ngram)
    return scaled


def _draw(logits: Tensor, uniform: Tensor, options: DecodingConfig) -> Tensor:
    """One token (B, S) a hypothesis by inverting the cumulative distribution at `uniform` (B, S).

    On a CPU this is some fifteen times faster than torch.multinomial, which draws a random number for every word.
    """
    tokens = None
    if options.top_k or options.top_p < 1:
        logits, tokens = logits.topk(min(options.top_k or logits.shape[-1], logits.shape[-1]))
    probabilities = logits.softmax(-1)
    if options.top_p < 1:
        # a word stays while those before it do not make up top_p yet, so the first always does
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= max(options.top_p, _LEAST_TOP_P), 0)
    cumulative = probabilities.cumsum(-1)
    total = cumulative[..., -1:]
    # strictly below the total, where the first larger value belongs to a word of probability above zero
    point = torch.minimum(uniform.unsqueeze(-1) * total, total.nextafter(torch.zeros_like(total)))
    place = torch.searchsorted(cumulative, point, right=True)
    return (place if tokens is None else tokens.gather(-1, place)).squeeze(-1)
