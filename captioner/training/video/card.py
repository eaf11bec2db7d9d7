"""The model card of a captioner of clips."""

from captioner.models.shared_encoder import SharedEncoder
from captioner.models.video_caption import VideoCaptionConfig
from captioner.training.card import ModelCard, table
from captioner.training.loop import Scores


def video_card(
    config: VideoCaptionConfig,
    notes: str,
    begun_with: str | None,
    command: str,
    origin: str,
    scores: Scores,
    training: int,
    validation: int,
) -> ModelCard:
    """The card of a model that was trained with `command`, and whose weights come from `origin`.

    Args:
        config: of the model.
        notes: of whoever publishes it, Markdown.
        begun_with: the model that the training went on from, if it did.
        command: that repeats the training.
        origin: a stage, or the mean of some.
        scores: on the validation clips.
        training: clips to learn from.
        validation: clips to validate on.
    """
    temporal, decoder = config.temporal, config.decoder
    encoder = f"that of {config.encoder.model}" if isinstance(config.encoder, SharedEncoder) else config.encoder.name
    directions = "both directions" if temporal.bidirectional else "one direction"
    attention = f"attention over moments ({decoder.heads} heads)" if decoder.attention else "the mean over all moments"
    totals = scores["clips"]
    facts = [
        f"Encoder: {encoder}, of {config.frames} frames of each clip.",
        f"Over time: {temporal.layers} x {temporal.unit} of {temporal.hidden_size}, {directions}.",
        f"Decoder: {decoder.layers} x {decoder.unit} of {decoder.hidden_size}, {attention}.",
        f"Learnt from: {training} clips.",
        *([] if begun_with is None else [f"Goes on from: {begun_with}."]),
        f"Last stage: {origin}.",
        f"Made by: `{command}`",
    ]
    scored = [
        f"Scores on {validation} validation clips, which also chose this checkpoint:",
        "",
        *table(list(totals), [[f"{value:.4f}" for value in totals.values()]]),
    ]
    return ModelCard(config.purpose, facts, scored, notes)
