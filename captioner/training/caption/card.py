"""The model card of a photo captioner."""

from collections.abc import Mapping
from pathlib import Path

from captioner.data.addresses import is_remote
from captioner.models.caption import CaptionConfig
from captioner.training.caption.config import CaptionFile, CaptionTrainingConfig
from captioner.training.card import ModelCard, table
from captioner.training.loop import Scores


def caption_card(
    config: CaptionTrainingConfig,
    model: CaptionConfig,
    command: str,
    origin: str,
    scores: Scores,
    validation_photos: Mapping[str, int],
    training_photos: int,
    texts: int,
) -> ModelCard:
    """The card of a model that was trained with `command`, and whose weights come from `origin`."""
    decoder, encoder = model.decoder, model.encoder
    attention = f"attention ({decoder.heads} heads)" if decoder.attention else "no attention (Show and Tell)"
    files = {name: _source(file) for name, file in config.data.sets.items()}
    data = ", ".join(f"{name}: {file}" for name, file in files.items())
    metrics = list(next(iter(scores.values())))
    rows = [
        [f"{name} ({validation_photos[name]} photos)", *(f"{each[metric]:.4f}" for metric in metrics)]
        for name, each in scores.items()
    ]
    facts = [
        f"Encoder: {encoder.name}, {encoder.precision}.",
        f"Decoder: {decoder.layers} x {decoder.unit} of {decoder.hidden_size}, {attention}.",
        *([] if config.init is None else [f"Goes on from: {config.init}."]),
        f"Learnt from: {training_photos} photos ({data}) and {texts} captions.",
        f"Last stage: {origin}.",
        f"Made by: `{command}`",
    ]
    scores_of = "Scores on the validation splits, which also chose this checkpoint:"
    scored = [scores_of, "", *table(["data", *metrics], rows)]
    return ModelCard(config.purpose, facts, scored, config.notes)


def _source(file: CaptionFile) -> str:
    """Where a set's captions were, without folders of this machine."""
    if file.captions is None and any(map(is_remote, file.photos)):
        return "captions found in its shards"
    return Path(file.captions or ".").name or "captions found in its folder"
