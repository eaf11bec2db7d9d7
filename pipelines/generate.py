"""`captioner generate`: lines that a language model continues from a prompt, drawn at random."""

import sys

from captioner.decoding.steps import Search
from captioner.models.base import load
from captioner.models.language import LanguageModel, split_words


def generate(model: str, prompt: str, options: Search, *, device: str = "auto") -> None:
    """Print lines, the most probable first; words of the prompt that the model does not know are named.

    Raises:
        UsageError: the model knows no word of the prompt.
        ModelError: the model cannot be used, or is no language model.
    """
    writer: LanguageModel = load(model, device, ("language",))
    lines = writer.generate(prompt, options)
    unknown = [word for word in split_words(prompt, writer.config.tokens) if word not in writer.vocabulary]
    if unknown:
        print(f"captioner: {model} does not know {', '.join(unknown)}; read as <unk>.", file=sys.stderr)
    for line in lines:
        print(line.text)
