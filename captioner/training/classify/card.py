"""The model card of a classifier of clips."""

from captioner.metrics.classification import ClassificationReport
from captioner.models.classify import ClassifyConfig
from captioner.models.shared_encoder import SharedEncoder
from captioner.training.card import ModelCard, table
from captioner.training.classify.config import ClassifyTrainingConfig


def classifier_card(
    config: ClassifyConfig,
    training: ClassifyTrainingConfig,
    command: str,
    protocol: str,
    report: ClassificationReport,
    learnt_from: int,
) -> ModelCard:
    """The card of a classifier.

    Args:
        config: of the model.
        training: of the training.
        command: that repeats it.
        protocol: how the clips that are scored were kept apart.
        report: the scores.
        learnt_from: clips that the model itself learnt from.
    """
    network, encoder, frames = config.network, config.encoder, config.frames
    what = {"frames": "frames", "differences": "differences of frames", "both": "frames and their differences"}
    directions = "forwards and backwards" if network.bidirectional else "forwards"
    where = "the whole frame" if frames.area == "whole" else "the square that moves most"
    cnn = f"{encoder.model} (not stored here)" if isinstance(encoder, SharedEncoder) else encoder.name
    low, high = report.interval
    facts = [
        f"Classes: {', '.join(report.labels)}.",
        f"Sees: {frames.count} frames of a clip, {where}, through the CNN of {cnn}; reads the features of "
        f"{what[network.inputs]}.",
        f"Network: {network.members} x {network.layers}-layer {network.unit} of {network.hidden_size}, "
        f"{directions}, {network.pooling} of its states.",
        *([] if training.init is None else [f"Goes on from: {training.init}."]),
        f"Learnt from: {learnt_from} clips.",
        f"Made by: `{command}`",
    ]
    scored = [
        f"Scores ({protocol}, {report.confusion.sum()} clips): accuracy {report.accuracy:.3f}, 95 % interval "
        f"{low:.3f} to {high:.3f} over resampled groups of clips.",
        "",
        *confusion_table(report),
    ]
    return ModelCard(config.purpose, facts, scored, training.notes)


def confusion_table(report: ClassificationReport) -> list[str]:
    """Precision, recall and confusions as the lines of a Markdown table."""
    rows = [
        [label, _share(score.precision), _share(score.recall), *map(str, report.confusion[place])]
        for place, (label, score) in enumerate(report.classes().items())
    ]
    return table(["true class", "precision", "recall", *(f"said {label}" for label in report.labels)], rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
