"""What a training of a search's quick part adds to the model card of its captioner."""

from collections.abc import Sequence

from captioner.models.phrases import Phrases
from captioner.models.search_config import SearchConfig
from captioner.training.loop import Scores
from captioner.training.search.config import SearchTrainingConfig

_SEARCH, _PHRASES = "## Search", "## Phrases"


def with_search(
    card: str, config: SearchTrainingConfig, search: SearchConfig, command: str, photos: int, scores: Scores
) -> str:
    """A captioner's card with a section on its search, in the place of an older one.

    Args:
        card: of the captioner, in Markdown.
        config: of the training.
        search: of the network.
        command: that repeats the training.
        photos: that it learnt from.
        scores: on validation photos.
    """
    metrics = list(next(iter(scores.values())))
    section = [
        f"`search.json` and `search.safetensors` are the quick part of `captioner search`: a {search.unit} of "
        f"{search.hidden_size} that reads a sentence, and a projection of the features' mean, both to vectors of "
        f"{search.size}.",
        f"It learnt from {photos} photos with captions ({', '.join(config.data.sets)}), of which the mean features of "
        f"{search.background} are kept, to tell what a sentence is worth to any photo.",
        "",
        f"Made by: `{command}`",
        "",
        "Scores on the validation photos, which also chose this checkpoint, by the quick part alone:",
        "",
        f"| data | {' | '.join(metrics)} |",
        f"| --- | {' | '.join('---' for _ in metrics)} |",
        *(
            f"| {name} | " + " | ".join(f"{each[metric]:.3f}" for metric in metrics) + " |"
            for name, each in scores.items()
        ),
    ]
    return _with_section(card, _SEARCH, section)


def with_phrases(card: str, config: SearchTrainingConfig, phrases: Phrases, command: str, photos: int) -> str:
    """A captioner's card with a section on its phrases, in the place of an older one.

    Args:
        card: of the captioner, in Markdown.
        config: of the training.
        phrases: that the captioner has now.
        command: that repeats the training.
        photos: that they were learnt from.
    """
    section = [
        f"`phrases.json` and `phrases.safetensors` tell how much of {len(phrases.idf):,} runs of one to four words "
        "captions of a photo probably hold. The CIDEr that follows for each caption that the search has found, times "
        f"{phrases.weight}, counts when one of them is chosen. A ridge regression of rank {len(phrases.look_step)} on "
        f"the features' mean, from {photos} photos with captions ({', '.join(config.data.sets)}).",
        "",
        f"Made by: `{command}`",
    ]
    return _with_section(card, _PHRASES, section)


def _with_section(card: str, heading: str, lines: Sequence[str]) -> str:
    before, found, rest = card.partition(f"{heading}\n")
    after = rest.partition("\n## ")[2] if found else ""
    return f"{before.rstrip()}\n\n" + "\n".join([heading, "", *lines, ""]) + (f"\n## {after}" if after else "")
