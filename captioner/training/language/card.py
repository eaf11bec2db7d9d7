"""The model card of a language model."""

from captioner.models.language import LanguageModel
from captioner.training.card import ModelCard, table
from captioner.training.language.config import LanguageTrainingConfig
from captioner.training.loop import Scores


def language_card(
    config: LanguageTrainingConfig, command: str, origin: str, model: LanguageModel, words: int, scores: Scores
) -> ModelCard:
    """The card of a model that was trained on so many words with `command`, and whose weights come from `origin`."""
    network, data = model.config.network, config.data
    begun = [] if config.init is None else [f"Goes on from: {config.init}."]
    parameters = sum(value.numel() for value in model.network.parameters())
    facts = [
        f"Network: {network.layers} x {network.unit} of {network.hidden_size}, {parameters / 1e6:.1f} million "
        "parameters, input and output embeddings tied.",
        *begun,
        f"Vocabulary: {len(model.vocabulary)} tokens; rarer than {data.min_count} times is unknown.",
        f"Learnt from: {words} tokens of {', '.join(path.name for path in data.train)}.",
        f"Last stage: {origin}.",
        f"Made by: `{command}`",
    ]
    how = "each caption on its own" if data.tokens == "captions" else "read in parallel streams"
    rows = [[name, f"{each['perplexity']:.2f}"] for name, each in scores.items()]
    scored = [f"Perplexity of what also chose this checkpoint, {how}:", "", *table(["text", "perplexity"], rows)]
    return ModelCard(config.purpose, facts, scored, config.notes)
