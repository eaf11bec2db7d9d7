"""The model card of a translator."""

from collections.abc import Mapping

from captioner.models.translate import Translator
from captioner.training.card import ModelCard, table
from captioner.training.loop import Scores
from captioner.training.translate.config import TranslateTrainingConfig


def translator_card(
    config: TranslateTrainingConfig,
    command: str,
    origin: str,
    model: Translator,
    pairs: int,
    left_out: int,
    scores: Scores,
    validation_pairs: Mapping[str, int],
) -> ModelCard:
    """The card of a model that was trained with `command`, and whose weights come from `origin`."""
    reader, decoder = model.config.reader, model.config.decoder
    parameters = sum(value.numel() for value in model.network.parameters())
    names = [str(files.table or f"{files.source}, {files.target}") for files in config.data.train]
    whole = " Texts are read as whole sentences, one by one." if model.config.whole_sentences else ""
    facts = [
        f"Languages: from {model.config.source} to {model.config.target}.",
        f"Reader: {reader.layers} x bidirectional {reader.unit} of {reader.hidden_size}.",
        f"Writer: {decoder.layers} x {decoder.unit} of {decoder.hidden_size}, attention ({decoder.heads} heads); "
        f"{parameters / 1e6:.1f} million parameters, all embeddings one matrix.",
        f"Vocabulary: {len(model.subwords)} pieces of both languages; text is read and written in NFC with plain "
        f"quotation marks and single spaces, its case kept.{whole}",
        f"Learnt from: {pairs} pairs of {'; '.join(names)} ({left_out} left out for their lengths), cut with BPE "
        f"dropout {config.data.dropout:g}.",
        *([] if config.init is None else [f"Went on from: {config.init}."]),
        f"Last stage: {origin}.",
        f"Made by: `{command}`",
    ]
    sizes = ", ".join(f"{name}: {count} pairs" for name, count in validation_pairs.items())
    rows = [[name, f"{each['BLEU']:.2f}", f"{each['chrF']:.2f}"] for name, each in scores.items()]
    scored = [
        f"Scores by sacrebleu's defaults on what also chose this checkpoint ({sizes}):",
        "",
        *table(["data", "BLEU", "chrF"], rows),
    ]
    return ModelCard(model.config.purpose, facts, scored, config.notes)
