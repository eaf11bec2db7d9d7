"""`captioner generate`: lines that a language model continues from a prompt, drawn at random."""

import sys

from captioner.decoding.steps import DecodingConfig
from captioner.models.base import load
from captioner.models.language import LanguageModel, split_words
from captioner.pipelines.language.options import GenerateOptions


def generate(options: GenerateOptions) -> None:
    """Print lines, the most probable first; words of the prompt that the model does not know are named.

    Raises:
        UsageError: the model knows no word of the prompt.
        ModelError: the model cannot be used, or is no language model.
    """
    decoding = DecodingConfig(
        "sample",
        num_captions=options.num,
        max_length=options.max_length,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
    )
    writer: LanguageModel = load(options.model, options.device, ("language",))
    lines = writer.generate(options.prompt, decoding)
    unknown = [word for word in split_words(options.prompt, writer.config.tokens) if word not in writer.vocabulary]
    if unknown:
        print(f"captioner: {options.model} does not know {', '.join(unknown)}; read as <unk>.", file=sys.stderr)
    for line in lines:
        print(line.text)
