"""What trains a classifier of clips: its data, networks and stages, as configuration files name them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from captioner.models.classify_network import ClassifierConfig
from captioner.training.config import ClipEncoder, Count, Rate, Share, Stage, Strict, TrainingConfig
from captioner.vision.clip_features import FramesConfig


class ClipData(Strict):
    """What to learn from.

    Attributes:
        root: folder of the clips; without a table each of its sub-folders is a class.
        table: file in it (.tsv, .csv) with the columns path and label, and optionally split, fold and one for groups,
            or a list of paths and labels. Where there are no sub-folders for classes, a list in `root` is found.
        group: the column that says which clips belong together, such as those of one source video.
        hold_out: share of the clips that validates, unless the table has a column split.
        folds: cross-validate in so many parts (the table's, if it has a column fold) and then learn from all clips.
        views: versions of each clip to learn from, besides their mirror images.
        cache: folder for the clips' features; `features` in the run folder by default.
    """

    root: Path = Path()
    table: Path | None = None
    group: str = "group"
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    folds: Annotated[int, Field(ge=2)] | None = None
    views: Count = 3
    cache: Path | None = None


class FitStage(Strict):
    """Learn from cached features. There is no validation on the way, so nothing is chosen by clips that are scored.

    Attributes:
        steps: in all; a handful of clips needs about as many as some hundred.
        batch_size: clips a step, one view of each.
        learning_rate: the highest; it rises in the first tenth of the steps and then falls to zero.
        weight_decay: of AdamW.
        label_smoothing: probability mass spread over all classes.
        class_weights: count each class the same, however many clips it has.
    """

    steps: Count = 150
    batch_size: Count = 32
    learning_rate: Rate = 0.003
    weight_decay: float = Field(0.01, ge=0)
    label_smoothing: Share = 0.1
    class_weights: bool = True


class FineTuneStage(Stage):
    """Go on end to end, the CNN included, with the clips decoded afresh in every epoch.

    Attributes:
        encoder_rate: the CNN's learning rate as a share of the rest's.
        frozen: share of the CNN's layers, from the first on, that stay as they are.
        label_smoothing: probability mass spread over all classes.
    """

    batch_size: Count = 8
    encoder_rate: Rate = 0.1
    frozen: Share = 0.5
    label_smoothing: Share = 0.1


class ClassifyStages(Strict):
    """The stages to run; fine-tuning is left out unless it is given."""

    fit: FitStage = Field(default_factory=lambda: FitStage.model_validate({}))
    fine_tune: FineTuneStage | None = None


class ClassifyTrainingConfig(TrainingConfig):
    """A whole training of a classifier of clips.

    Attributes:
        init: a classifier to go on from, with its CNN, frames and networks, and with the classes that have the same
            names: a model in the package, a folder, or `hf-hub:owner/name`. Without it `encoder` says which CNN a new
            one has.
    """

    kind: Literal["classify"] = "classify"
    purpose: str = "tells classes of clips apart"
    data: ClipData
    init: str | None = None
    encoder: ClipEncoder | None = None
    frames: FramesConfig = Field(default_factory=lambda: FramesConfig.model_validate({}))
    network: ClassifierConfig = Field(default_factory=lambda: ClassifierConfig.model_validate({}))
    stages: ClassifyStages = ClassifyStages()

    @model_validator(mode="after")
    def _one_start(self) -> "ClassifyTrainingConfig":
        if (self.init is None) == (self.encoder is None):
            raise ValueError("give either init, a classifier to go on from, or encoder, a CNN for a new one")
        brought = [key for key in ("frames", "network") if key in self.model_fields_set]
        if self.init is not None and brought:
            raise ValueError(f"init brings its {brought[0]} along; leave {brought[0]} out")
        return self

    def one_process(self) -> str | None:
        """A classifier is small."""
        return "a classifier is trained by one process, in minutes"
