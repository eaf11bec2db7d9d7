"""What trains the quick part of a search: its captioner, data, network and stage, as configuration files name them."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from captioner.training.caption.config import CaptionFile
from captioner.training.config import Count, LocalFolder, Stage, Strict, TrainingConfig


class SearchData(Strict):
    """What to learn from: the captions that the captioner learnt from, as its own configuration names them.

    Attributes:
        root: folder that the other paths are relative to.
        sets: captioned photos, by a name under which scores are reported.
        max_caption_length: words after which a training caption is cut.
        mirror: learn from each photo's mirror image too.
        cache: folder for the photos' features, and for copies of shards; `features` in the run folder by default.
        copies: gigabytes of copies that are kept of shards at other addresses.
    """

    root: LocalFolder = Path()
    sets: dict[str, CaptionFile] = Field(min_length=1)
    max_caption_length: Count = 30
    mirror: bool = False
    cache: Path | None = None
    copies: float = Field(50, ge=0, allow_inf_nan=False)


class NetworkChoice(Strict):
    """The two networks; see `captioner.models.search.SearchConfig`."""

    unit: Literal["tanh", "lstm", "gru"] = "gru"
    hidden_size: Count = 384
    size: Count = 384
    dropout: float = Field(0.3, ge=0, lt=1)
    background: Count = 240
    cosine_weight: float = Field(15.0, ge=0)
    sentences_weight: float = Field(40.0, ge=0)
    caption_weight: float = Field(0.0, ge=0)


class ContrastiveStage(Stage):
    """Each photo among a batch's photos is to be told by its caption, and the reverse.

    Attributes:
        batch_size: photos a step, each with one of its captions, all others being wrong.
        temperature: that cosines are divided by at first; it is learnt.
    """

    batch_size: int = Field(256, ge=2)  # the others of a batch are the wrong answers
    learning_rate: float = Field(0.0015, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    clip_norm: float = Field(2.0, gt=0)
    average: float = Field(0.98, ge=0, le=1)
    temperature: float = Field(0.05, gt=0)


class SearchStages(Strict):
    """The one stage there is; without it the captioner keeps the quick part that it has."""

    contrastive: ContrastiveStage | None


class SearchTrainingConfig(TrainingConfig):
    """A whole training of a search's quick part.

    Attributes:
        init: the captioner that it belongs to: a model in the package, a folder, or `hf-hub:owner/name`.
        phrase_weight: what the CIDEr to be expected of a caption counts where the captioner chooses among what its
            search has found (`captioner.models.phrases`); 0 to learn no phrases, so that those of `init` stay.
    """

    kind: Literal["search"] = "search"
    purpose: str = "finds photos by sentences"
    init: str = "photos"
    phrase_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    data: SearchData
    network: NetworkChoice = Field(default_factory=lambda: NetworkChoice.model_validate({}))
    stages: SearchStages

    def one_process(self) -> str | None:
        """The wrong answers of a step are those of its batch, which processes would divide."""
        return "a search is trained by one process, whose batches hold the wrong answers"
