"""The model card that the training of a captioner of clips writes."""

from captioner.training.loop import Scores
from captioner.training.video.config import VideoTrainingConfig


def write_card(config: VideoTrainingConfig, command: str, scores: Scores, training: int, validation: int) -> str:
    """A model card in Markdown; what a person must add is listed at its end."""
    temporal, decoder = config.temporal, config.decoder
    encoder = config.encoder.name or f"that of {config.encoder.model}"
    directions = "both directions" if temporal.bidirectional else "one direction"
    looks = f"attention over moments ({decoder.heads} heads)" if decoder.attention else "the mean over all moments"
    totals = scores["clips"]
    return "\n".join(
        [
            f"# {config.purpose}",
            "",
            f"- Encoder: {encoder}, of {config.frames} frames of each clip.",
            f"- Over time: {temporal.layers} x {temporal.unit} of {temporal.hidden_size}, {directions}.",
            f"- Decoder: {decoder.layers} x {decoder.unit} of {decoder.hidden_size}, {looks}.",
            f"- Learnt from: {training} clips.",
            f"- Made by: `{command}`",
            "",
            f"Scores on {validation} validation clips, which also chose this checkpoint:",
            "",
            f"| {' | '.join(totals)} |",
            f"| {' | '.join('---' for _ in totals)} |",
            f"| {' | '.join(f'{value:.4f}' for value in totals.values())} |",
            "",
            "Still to be written by whoever publishes this model: the licences of its data, what it is good and bad "
            "at, and scores on a test split.",
            "",
        ]
    )
