"""Classes in free words: what `/v1/classify` does with labels, by a captioner and for photos too."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from captioner.models.label import TEMPLATES, Labeller
from captioner.pipelines.classify.labels import TOO_FEW, different, label_files, written_labels
from captioner.pipelines.folder.outputs import Outputs
from captioner.pipelines.folder.progress import Summary
from captioner.pipelines.serve.batching import silent_meter
from captioner.pipelines.serve.problems import Problem
from captioner.text.known import known_labels
from captioner.text.vocabulary import Vocabulary

_MOST = 200  # labels


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


LABELS: Mapping[str, Any] = {
    "labels": (
        str | None,
        Field(None, max_length=10_000, description="Labels in free words, for photos too: cat, birthday cake."),
    ),
    "template": (
        Annotated[tuple[Annotated[str, Field(max_length=200)], ...] | None, BeforeValidator(_several)],
        Field(None, max_length=10, description="Sentences with {} for the label; a form has one."),
    ),
}
"""The options; schemas of their own, since the command line takes files of labels too."""


def labels_of(chosen: Any, vocabulary: Vocabulary) -> tuple[list[str], list[str]]:
    """The labels that a request asks for.

    Args:
        chosen: its options.
        vocabulary: of the captioner that tells.

    Returns:
        the labels, and what to know of those that have unknown words.

    Raises:
        Problem: there are too few or too many, none is left, or a template has no place for one.
    """
    labels = different(written_labels(chosen.labels))
    if len(labels) < 2:
        raise Problem(422, f"labels: {TOO_FEW}")
    if len(labels) > _MOST:
        raise Problem(422, f"labels: there are {len(labels)}; give {_MOST} at most.")
    for template in chosen.template or ():
        if template.count("{}") != 1:
            raise Problem(422, f"template: {template!r} has no place for a label, which is written {{}}.")
    known, notes = known_labels(labels, vocabulary)
    if not known:
        raise Problem(422, f"labels: none is left; {'; '.join(notes)}.")
    return labels, notes


def tell_labels(paths: Sequence[str], model: Any, options: Any, outputs: Outputs, max_pixels: int) -> None:
    """The rows of `captioner classify --labels`."""
    labels, _ = labels_of(options, model.vocabulary)
    labeller = Labeller(model.finder, labels, options.template or TEMPLATES)
    label_files(
        paths,
        labeller,
        outputs,
        silent_meter(),
        Summary(),
        top_k=min(options.top_k, len(labeller.labels)),
        every=options.every,
        workers=1,
        max_pixels=max_pixels,
    )
