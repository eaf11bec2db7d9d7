"""The model card of a captioner of clips."""

from captioner.training.card import ModelCard, table
from captioner.training.loop import Scores
from captioner.training.video.config import VideoTrainingConfig


def video_card(
    config: VideoTrainingConfig, command: str, origin: str, scores: Scores, training: int, validation: int
) -> ModelCard:
    """The card of a model that was trained with `command`, and whose weights come from `origin`.

    Args:
        config: of the training.
        command: that repeats it.
        origin: a stage, or the mean of some.
        scores: on the validation clips.
        training: clips to learn from.
        validation: clips to validate on.
    """
    temporal, decoder = config.temporal, config.decoder
    encoder = config.encoder.name or f"that of {config.encoder.model}"
    directions = "both directions" if temporal.bidirectional else "one direction"
    attention = f"attention over moments ({decoder.heads} heads)" if decoder.attention else "the mean over all moments"
    totals = scores["clips"]
    facts = [
        f"Encoder: {encoder}, of {config.frames} frames of each clip.",
        f"Over time: {temporal.layers} x {temporal.unit} of {temporal.hidden_size}, {directions}.",
        f"Decoder: {decoder.layers} x {decoder.unit} of {decoder.hidden_size}, {attention}.",
        f"Learnt from: {training} clips.",
        f"Last stage: {origin}.",
        f"Made by: `{command}`",
    ]
    scored = [
        f"Scores on {validation} validation clips, which also chose this checkpoint:",
        "",
        *table(list(totals), [[f"{value:.4f}" for value in totals.values()]]),
    ]
    return ModelCard(config.purpose, facts, scored, config.notes)
