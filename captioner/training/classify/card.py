"""The model card of a classifier of clips."""

from captioner.metrics.classification import ClassificationReport
from captioner.training.card import ModelCard, table
from captioner.training.classify.config import ClassifyTrainingConfig


def classifier_card(
    config: ClassifyTrainingConfig, command: str, protocol: str, report: ClassificationReport, learnt_from: int
) -> ModelCard:
    """The card of a classifier.

    Args:
        config: of the training.
        command: that repeats it.
        protocol: how the clips that are scored were kept apart.
        report: the scores.
        learnt_from: clips that the model itself learnt from.
    """
    network, encoder, frames = config.network, config.encoder, config.frames
    what = {"frames": "frames", "differences": "differences of frames", "both": "frames and their differences"}
    directions = "forwards and backwards" if network.bidirectional else "forwards"
    where = "the whole frame" if frames.area == "whole" else "the square that moves most"
    low, high = report.interval
    facts = [
        f"Classes: {', '.join(report.labels)}.",
        f"Sees: {frames.count} frames of a clip, {where}, through the CNN of {encoder.model or encoder.name}"
        f"{' (not stored here)' if encoder.model else ''}; reads the features of {what[network.inputs]}.",
        f"Network: {network.members} x {network.layers}-layer {network.unit} of {network.hidden_size}, "
        f"{directions}, {network.pooling} of its states.",
        f"Learnt from: {learnt_from} clips.",
        f"Made by: `{command}`",
    ]
    scored = [
        f"Scores ({protocol}, {report.confusion.sum()} clips): accuracy {report.accuracy:.3f}, 95 % interval "
        f"{low:.3f} to {high:.3f} over resampled groups of clips.",
        "",
        *confusion_table(report),
    ]
    return ModelCard(config.purpose, facts, scored, config.notes)


def confusion_table(report: ClassificationReport) -> list[str]:
    """Precision, recall and confusions as the lines of a Markdown table."""
    rows = [
        [label, _share(score.precision), _share(score.recall), *map(str, report.confusion[place])]
        for place, (label, score) in enumerate(report.classes().items())
    ]
    return table(["true class", "precision", "recall", *(f"said {label}" for label in report.labels)], rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
