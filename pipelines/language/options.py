"""The options of `captioner perplexity` and `captioner generate`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.pipelines.folder.options import Device, JsonFile

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A language model, such as captions.")]


@dataclass(frozen=True, kw_only=True)
class PerplexityOptions:
    """What can be chosen when texts are scored."""

    model: Model
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Text, plain, .gz, or in a zip: a.zip/b.txt.")]
    json: JsonFile = None
    per_line: Annotated[
        bool, typer.Option("--per-line", help="Score each line on its own, and print them most fluent first.")
    ] = False
    device: Device = "auto"


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """What can be chosen when lines are drawn."""

    model: Model
    prompt: Annotated[str, typer.Option(help="First words of each line.  [default: none]")] = ""
    num: Annotated[int, typer.Option("-n", "--num", min=1, help="Lines to draw.")] = 1
    temperature: Annotated[float, typer.Option(help="Below 1 favours probable words.")] = 1.0
    top_k: Annotated[int, typer.Option(min=0, help="Sample among the k most probable words; 0 among all.")] = 0
    top_p: Annotated[float, typer.Option(help="Then among the fewest words with this probability in all.")] = 1.0
    max_length: Annotated[int, typer.Option(min=1, help="Maximum number of words after the prompt.")] = 50
    seed: Annotated[int | None, typer.Option(help="Random seed of the draws.  [default: differs each time]")] = None
    device: Device = "auto"
