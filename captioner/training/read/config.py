"""What trains a reader of text lines: its data, network and stage, as configuration files name them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from captioner.models.read_network import ReaderConfig
from captioner.training.config import Count, Stage, StagedConfig, Strict
from captioner.vision.line_augmentation import Strength
from captioner.vision.line_pictures import LineTransform


class SyntheticLines(Strict):
    """Pictures that are drawn from fonts while training. Paths are relative to `data.root`.

    Attributes:
        text: files with the words to draw, one sentence a line, also gzipped or inside a zip file.
        fonts: font files, and folders of them.
        exclude: parts of font files' names that are passed over.
        count: pictures an epoch.
        reuse: epochs after which all are drawn anew.
        words: that a picture shows, at most.
    """

    text: list[Path] = Field(min_length=1)
    fonts: list[Path] = Field([Path("/usr/share/fonts")], min_length=1)
    exclude: tuple[str, ...] = ("Symbol", "Dingbat", "D050000L", "Emoji")
    count: Count = 20_000
    reuse: Count = 1
    words: Count = 1


class LineData(Strict):
    """What to learn from. Paths are relative to `root`.

    Attributes:
        root: folder of the lines.
        train: a table of lines or a folder of them in it; all of `root` by default, where nothing is drawn from fonts.
        val: lines to validate on; by default some of `train` are held out.
        hold_out: share of the lines that validates where `val` is not given.
        group: lines whose file names are the same up to this sign's last occurrence are of one print or photograph and
            stay on one side.
        repeat: how often an epoch reads each line.
        min_count: rarer characters are outside the alphabet.
        characters: the alphabet, instead of the characters of the training texts.
        strange: lines with characters outside the alphabet: `leave_out`, or `remove` those characters.
        synthetic: lines drawn from fonts, besides or instead.
    """

    root: Path = Path()
    train: Path | None = None
    val: Path | None = None
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    group: str | None = None
    repeat: Count = 1
    min_count: Count = 1
    characters: str | None = None
    strange: Literal["leave_out", "remove"] = "leave_out"
    synthetic: SyntheticLines | None = None


class ReadStage(Stage):
    """CTC's loss.

    Attributes:
        batch_size: lines a step.
        augmentation: how much pictures are changed; see `captioner.vision.line_augmentation`.
    """

    batch_size: Count = 16
    learning_rate: float = Field(0.002, gt=0)
    clip_norm: float = Field(3.0, gt=0)
    average: float = Field(0.99, ge=0, le=1)
    patience: Count = 10
    augmentation: Strength = "scan"


class ReadStages(Strict):
    """The one stage there is."""

    read: ReadStage


class ReadTrainingConfig(StagedConfig):
    """A whole training of a reader.

    Attributes:
        init: a reader to go on from, with its network, alphabet and picture: a model in the package, a folder, or
            `hf-hub:owner/name`. Where these are given too, they must be its own.
        picture: how a line becomes the network's input.
    """

    kind: Literal["read"] = "read"
    purpose: str = "reads text lines"
    init: str | None = None
    data: LineData
    picture: LineTransform = Field(default_factory=lambda: LineTransform.model_validate({}))
    network: ReaderConfig = Field(default_factory=lambda: ReaderConfig.model_validate({}))
    stages: ReadStages

    def one_process(self) -> str | None:
        """Batch statistics, which a reader learns by, would differ between processes."""
        return "a reader is trained by one process"

    @model_validator(mode="after")
    def _height_fits(self) -> "ReadTrainingConfig":
        if self.picture.height % 8:
            raise ValueError(f"picture.height ({self.picture.height}) must be a multiple of 8")
        return self
