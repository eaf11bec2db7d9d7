"""The model card of a translator: what it is, what it learnt from, and what it scored."""

from collections.abc import Mapping

from captioner.models.translate import Translator
from captioner.training.translate.config import TranslateTrainingConfig


def write_card(
    config: TranslateTrainingConfig,
    command: str,
    model: Translator,
    pairs: int,
    left_out: int,
    validation_pairs: Mapping[str, int],
) -> str:
    """A model card in Markdown; what a person must add is listed at its end."""
    reader, decoder = config.reader, config.decoder
    parameters = sum(value.numel() for value in model.network.parameters())
    names = [str(files.table or f"{files.source}, {files.target}") for files in config.data.train]
    rows = [f"| {name} | {each['BLEU']:.2f} | {each['chrF']:.2f} |" for name, each in model.config.scores.items()]
    return "\n".join(
        [
            f"# {config.purpose}",
            "",
            f"- Languages: from {config.source} to {config.target}.",
            f"- Reader: {reader.layers} x bidirectional {reader.unit} of {reader.hidden_size}.",
            f"- Writer: {decoder.layers} x {decoder.unit} of {decoder.hidden_size}, attention ({decoder.heads} heads); "
            f"{parameters / 1e6:.1f} million parameters, all embeddings one matrix.",
            f"- Vocabulary: {len(model.subwords)} pieces of both languages; text is read and written in NFC with plain "
            "quotation marks and single spaces, its case kept.",
            f"- Learnt from: {pairs} pairs of {'; '.join(names)} ({left_out} left out for their lengths), cut with BPE "
            f"dropout {config.data.dropout:g}.",
            f"- Made by: `{command}`",
            "",
            "Scores by sacrebleu's defaults on what also chose this checkpoint ("
            + ", ".join(f"{name}: {count} pairs" for name, count in validation_pairs.items())
            + "):",
            "",
            "| data | BLEU | chrF |",
            "| --- | --- | --- |",
            *rows,
            "",
            "Still to be written by whoever publishes this model: the licences of its data, what it is good and bad "
            "at, and scores on a test split.",
            "",
        ]
    )
