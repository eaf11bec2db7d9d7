"""The one entry to all searches: `search(model, state, context, options)`."""

from captioner.decoding.beam import beam_search
from captioner.decoding.sampling import sample_search
from captioner.decoding.steps import DecodingConfig, Hypothesis, StepModel, Tensors, batch_size

__all__ = ["DecodingConfig", "Hypothesis", "StepModel", "search"]


def search(
    model: StepModel, state: Tensors, context: Tensors, options: DecodingConfig, return_attention: bool = False
) -> list[list[Hypothesis]]:
    """Find captions for a batch of images.

    Args:
        model: steps the hypotheses.
        state: (B, ...) before `<start>` is read.
        context: (B, ...), the features of each image.
        options: method and limits.
        return_attention: keep each word's attention weights, if the model gives them.

    Returns:
        for each image its hypotheses, best first.

    Raises:
        ModelError: the model's output is not a number.
    """
    if batch_size(state | context) == 0:
        return []
    find = beam_search if options.method == "beam" else sample_search
    return find(model, state, context, options, return_attention)
