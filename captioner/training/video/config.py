"""What trains a captioner of clips: its data, networks and stage, as configuration files name them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from captioner.decoding.steps import DecodingConfig
from captioner.models.caption_network import DecoderConfig
from captioner.models.video_caption import TemporalConfig
from captioner.training.caption.config import CrossEntropyStage
from captioner.training.config import ClipEncoder, Count, StagedConfig, Strict
from captioner.training.tokens import TokenChoice
from captioner.vision.encoder import Precision


class VideoData(TokenChoice):
    """What to learn from. Paths are relative to `root`.

    Attributes:
        root: folder that the other paths are relative to.
        captions: a JSON file in the form of MSR-VTT's, a zip file that holds one, or a file or folder in one of the
            forms that captions of photos have; by default `root`.
        clips: folder of the video files.
        hold_out: how many training clips become the validation split, where the captions have none.
        min_count: rarer words become `<unk>`.
        max_caption_length: words after which a training caption is cut.
        allow_missing: go on without the clips that are not there.
        views: versions of each clip to learn from, besides their mirror images.
        cache: folder for the clips' features; `features` in the run folder by default.
    """

    root: Path = Path()
    captions: Path = Path()
    clips: Path = Path()
    hold_out: int = Field(0, ge=0)
    min_count: Count = 3
    max_caption_length: Count = 30
    allow_missing: bool = False
    views: Count = 1
    cache: Path | None = None


class VideoStages(Strict):
    """The stage to run: cross-entropy on cached features, where a photo is a clip."""

    cross_entropy: CrossEntropyStage


class VideoTrainingConfig(StagedConfig):
    """A whole training of a captioner of clips.

    Attributes:
        init: a captioner of clips to go on from, with its networks and words, or a photo captioner, of which the CNN,
            the decoder and the words are taken: a model in the package, a folder, or `hf-hub:owner/name`. Without it
            `encoder` says which CNN a new one has.
        frames: of each clip, evenly spread; by default as many as `init` reads, else 16.
        temporal: the network over time, of a new model or of one that goes on from a photo captioner.
        search_precision: of the decoder when it captions, on a CPU that multiplies bfloat16; other CPUs use float32.
    """

    kind: Literal["video"] = "video"
    purpose: str = "captions clips"
    data: VideoData
    init: str | None = None
    encoder: ClipEncoder | None = None
    frames: Count = 16
    temporal: TemporalConfig = Field(default_factory=lambda: TemporalConfig.model_validate({}))
    decoder: DecoderConfig = Field(default_factory=lambda: DecoderConfig.model_validate({}))
    search: DecodingConfig = DecodingConfig()
    search_precision: Precision = "float32"
    stages: VideoStages

    @model_validator(mode="after")
    def _one_start(self) -> "VideoTrainingConfig":
        if (self.init is None) == (self.encoder is None):
            raise ValueError("give either init, a captioner to go on from, or encoder, a CNN for a new one")
        if self.init is not None and "decoder" in self.model_fields_set:
            raise ValueError("init brings its decoder along; leave decoder out")
        return self

    def one_machine(self) -> str | None:
        """Each process reads features that others compute."""
        return "the processes that train a captioner of clips share a cache of features"
