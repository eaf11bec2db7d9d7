"""What a training of a search's quick part adds to the model card of its captioner."""

from captioner.models.search_config import SearchConfig
from captioner.training.loop import Scores
from captioner.training.search.config import SearchTrainingConfig

_HEADING = "## Search"


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
    before, found, rest = card.partition(f"{_HEADING}\n")
    after = rest.partition("\n## ")[2] if found else ""
    metrics = list(next(iter(scores.values())))
    section = [
        _HEADING,
        "",
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
        "",
    ]
    return f"{before.rstrip()}\n\n" + "\n".join(section) + (f"\n## {after}" if after else "")
