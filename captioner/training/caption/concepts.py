"""How concept words are learnt: a logistic regression for each of the commonest words, on the finished captioner."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from captioner.data.captions import CaptionedImage, CaptionSet
from captioner.models.concepts import LEAST, ConceptWords
from captioner.text.vocabulary import Vocabulary
from captioner.training.caption.content import is_content

Images = Sequence[CaptionedImage] | CaptionSet
PENALTY = 0.05  # half of it times the squared weights of standardised inputs is added to an image's loss
STEPS = 60
_OF_NO_THING = frozenset(["top", "front", "side", "back", "middle", "close", "way", "picture", "photo", "background"])


def fit_concepts(count: int, summaries: Tensor, images: Images, vocabulary: Vocabulary) -> ConceptWords:
    """Regressions of the words that most training images' captions name.

    Args:
        count: how many words, at most.
        summaries: (images, width), as the finished decoder's `summary` gives them.
        images: with their captions.
        vocabulary: of the decoder.
    """
    named = named_words(images, vocabulary)
    tellable = is_content(vocabulary) & torch.tensor([word not in _OF_NO_THING for word in vocabulary.tokens])
    often = (named.sum(0) * tellable).sort(descending=True, stable=True)
    ids = often.indices[: min(count, int((often.values > 0).sum()))]
    mean, deviation = summaries.mean(0), summaries.std(0, correction=int(len(summaries) > 1)) + 1e-6
    weight, bias = _regress((summaries - mean) / deviation, named[:, ids])
    found = ConceptWords(summaries.shape[1], len(ids))
    with torch.no_grad():
        found.ids.copy_(ids)
        found.layer.weight.copy_((weight / deviation[:, None]).T)
        found.layer.bias.copy_(bias - mean @ (weight / deviation[:, None]))
    return found


def calibrate(concepts: ConceptWords, summaries: Tensor, images: Images, vocabulary: Vocabulary) -> None:
    """Scale and shift all scores so that probabilities mean what they say of images that nothing was trained on.

    Args:
        concepts: are changed.
        summaries: (images, width) of validation images.
        images: with their captions.
        vocabulary: of the decoder.
    """
    named = named_words(images, vocabulary)[:, concepts.ids]
    with torch.no_grad():
        scores = concepts.layer(summaries)
    counted = scores.sigmoid() > LEAST / 2  # the many words that nobody would list say nothing of those that are
    scores, named = scores[counted], named[counted]
    scale, shift = torch.ones((), requires_grad=True), torch.zeros((), requires_grad=True)
    _minimise([scale, shift], lambda: cross_entropy(scale * scores + shift, named))
    with torch.no_grad():
        concepts.layer.weight.mul_(scale)
        concepts.layer.bias.mul_(scale).add_(shift)


def named_words(images: Images, vocabulary: Vocabulary) -> Tensor:
    """Which words (images, vocabulary) at least one caption of an image has, as 0 and 1."""
    named = torch.zeros(len(images), len(vocabulary))
    for row, image in enumerate(images):
        named[row, list({index for tokens in image.tokens for index in vocabulary.encode(tokens)})] = 1
    return named


def _regress(inputs: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
    share = named.mean(0).clamp(1e-4, 1 - 1e-4)
    weight = torch.zeros(inputs.shape[1], named.shape[1], requires_grad=True)
    bias = share.logit().requires_grad_()

    def loss() -> Tensor:
        fit = cross_entropy(inputs @ weight + bias, named, reduction="sum") / len(inputs)
        return fit + PENALTY / 2 * weight.square().sum()

    _minimise([weight, bias], loss)
    return weight.detach(), bias.detach()


def _minimise(values: list[Tensor], loss: Callable[[], Tensor]) -> None:
    solver = torch.optim.LBFGS(values, max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> float:
        solver.zero_grad()
        found = loss()
        found.backward()
        return found.item()

    solver.step(closure)
