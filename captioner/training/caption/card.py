"""The model card that a training writes: what the model is, what it learnt from, and what it scored."""

from collections.abc import Mapping

from captioner.models.caption import CaptionConfig
from captioner.training.caption.config import CaptionTrainingConfig
from captioner.training.loop import Scores


def write_card(
    config: CaptionTrainingConfig,
    model: CaptionConfig,
    command: str,
    origin: str,
    scores: Scores,
    validation_photos: Mapping[str, int],
    training_photos: int,
    texts: int,
) -> str:
    """A model card in Markdown; what a person must add (licences, what it is good and bad at) is listed at its end."""
    decoder, encoder = model.decoder, model.encoder
    begun = [] if config.init is None else [f"- Goes on from: {config.init}."]
    looks = f"attention ({decoder.heads} heads)" if decoder.attention else "no attention (Show and Tell)"
    files = {name: file.captions.name or "captions found in its folder" for name, file in config.data.sets.items()}
    data = ", ".join(f"{name}: {file}" for name, file in files.items())
    metrics = list(next(iter(scores.values())))
    rows = [
        f"| {name} ({validation_photos[name]} photos) | "
        + " | ".join(f"{each[metric]:.4f}" for metric in metrics)
        + " |"
        for name, each in scores.items()
    ]
    return "\n".join(
        [
            f"# {config.purpose}",
            "",
            f"- Encoder: {encoder.name}, {encoder.precision}.",
            f"- Decoder: {decoder.layers} x {decoder.unit} of {decoder.hidden_size}, {looks}.",
            *begun,
            f"- Learnt from: {training_photos} photos ({data}) and {texts} captions.",
            f"- Last stage: {origin}.",
            f"- Made by: `{command}`",
            "",
            "Scores on the validation splits, which also chose this checkpoint:",
            "",
            f"| data | {' | '.join(metrics)} |",
            f"| --- | {' | '.join('---' for _ in metrics)} |",
            *rows,
            "",
            "Still to be written by whoever publishes this model: the licences of its data, what it is good and bad "
            "at, and scores on a test split.",
            "",
        ]
    )
