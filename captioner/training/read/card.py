"""The model card of a reader."""

from captioner.metrics.calibration import Reliability
from captioner.metrics.line_scores import METRICS, LineScores
from captioner.text.alphabet import Alphabet
from captioner.training.card import ModelCard, table
from captioner.training.read.config import ReadTrainingConfig


def reader_card(
    config: ReadTrainingConfig,
    command: str,
    alphabet: Alphabet,
    scores: LineScores,
    reliability: Reliability,
    learnt_from: int,
) -> ModelCard:
    """The card of a reader.

    Args:
        config: of the training.
        command: that repeats it.
        alphabet: that was learnt.
        scores: on the lines that were held out.
        reliability: of the confidence on them, calibrated on others.
        learnt_from: pictures of lines that the model learnt from.
    """
    network, picture, synthetic = config.network, config.picture, config.data.synthetic
    directions = "forwards and backwards" if network.bidirectional else "forwards"
    drawn = f"{synthetic.count} words an epoch drawn from fonts" if synthetic else ""
    pictures = f"{learnt_from} pictures of lines" if learnt_from else ""
    intervals = scores.intervals()
    rows = [
        [METRICS[name], f"{value:.4f}", f"{intervals[name][0]:.4f} to {intervals[name][1]:.4f}"]
        for name, value in scores.totals.items()
    ]
    facts = [
        f"Sees: a grey line {picture.height} pixels high, one column for each {network.column} pixels.",
        f"Network: CNN of {network.channels} to {4 * network.channels} channels, {network.layers} x "
        f"{network.unit} of {network.hidden_size}, {directions}, CTC.",
        f"Alphabet, in NFC: `{''.join(sorted(alphabet.characters)).strip()}` and the space.",
        *([] if config.init is None else [f"Goes on from: {config.init}."]),
        f"Learnt from: {' and '.join(filter(None, [pictures, drawn]))}.",
        f"Made by: `{command}`",
    ]
    scored = [
        f"Scores on the {len(scores.counts)} lines that were held out, which also chose this checkpoint:",
        "",
        *table(["metric", "value", "95 % interval"], rows),
        "",
        "Confidence is the chance that a text is right; calibrated on a part of these lines, its expected "
        f"calibration error on the others is {reliability.error:.3f}.",
    ]
    return ModelCard(config.purpose, facts, scored, config.notes)
