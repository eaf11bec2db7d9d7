"""What trains a photo captioner: its data, networks and stages, as configuration files name them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from captioner.decoding.steps import DecodingConfig
from captioner.models.caption_network import DecoderConfig
from captioner.training.config import Count, EncoderOptions, LocalFolder, Rate, Share, Stage, StagedConfig, Strict
from captioner.training.tokens import TokenChoice
from captioner.vision.encoder import Precision


class CaptionFile(Strict):
    """One set of captioned photos. Paths are relative to `data.root`.

    Attributes:
        captions: a file or folder in one of the forms that `captioner.data.caption_forms` finds: COCO or Karpathy JSON,
            tables, Hugging Face's metadata, shards, texts beside photos; or a file at another address. By default
            `data.root`, or all that `photos` names where shards at other addresses are among them.
        photos: folders, zip files and shards with the photos, also by patterns and ranges in braces; shards may be at
            any address: `s3://bucket/train-{000..099}.tar`.
        columns: names of a table's columns, by `image`, `caption` and `split`, where others than the usual ones count.
        split: of photos whose captions say none; Karpathy's files say their own.
        hold_out: how many training photos become the validation split, where the captions have none.
    """

    captions: str | None = None
    photos: list[str] = Field(["."], min_length=1)
    columns: dict[Literal["image", "caption", "split"], str] = Field(default={})
    split: Literal["train", "val", "test"] = "train"
    hold_out: int = Field(0, ge=0)


class DataConfig(TokenChoice):
    """What to learn from.

    Attributes:
        root: folder that the other paths are relative to.
        sets: captioned photos, by a name under which scores are reported.
        text: captions without photos, for the language stage; those of photos in a validation or test split are
            left out.
        min_count: rarer words become `<unk>`.
        max_caption_length: words after which a training caption is cut.
        allow_missing: go on without the photos that are not there.
        mirror: cache the features of each photo's mirror image too, and train on either.
        cache: folder for the photos' features, and for copies of shards; `features` in the run folder by default.
        copies: gigabytes of copies that are kept of shards at other addresses, on each machine.
    """

    root: LocalFolder = Path()
    sets: dict[str, CaptionFile] = Field(min_length=1)
    text: list[Path] = Field(default=[])
    min_count: Count = 5
    max_caption_length: Count = 30
    allow_missing: bool = False
    mirror: bool = True
    cache: Path | None = None
    copies: float = Field(50, ge=0, allow_inf_nan=False)


class EncoderChoice(EncoderOptions):
    """The CNN.

    Attributes:
        name: timm's name.
    """

    name: str


class LanguageStage(Stage):
    """Cross-entropy on captions without photos: the decoder learns English first."""

    batch_size: Count = 320
    label_smoothing: Share = 0.1


class CrossEntropyStage(Stage):
    """Cross-entropy on cached features.

    Attributes:
        label_smoothing: probability mass spread over all words.
        captions_per_photo: how many of a photo's captions each epoch reads.
    """

    label_smoothing: Share = 0.1
    captions_per_photo: Count = 5


class FineTuneStage(CrossEntropyStage):
    """Cross-entropy end to end, on augmented photos.

    Attributes:
        encoder_rate: the CNN's learning rate as a share of the decoder's.
        frozen: share of the CNN's layers, from the first on, that stay as they are.
        smallest_crop: least share of the photo's area that a training crop shows.
        jitter: strength of random changes of brightness, contrast and saturation.
        matching: weight of a second aim, that a photo is told from the others of its batch by its captions, and the
            reverse; 0 for none.
    """

    encoder_rate: Rate = 0.1
    frozen: Share = 0.0
    smallest_crop: Share = 0.7
    jitter: Share = 0.2
    matching: float = Field(0.0, ge=0, allow_inf_nan=False)


class SelfCriticalStage(Stage):
    """CIDEr-D optimised by policy gradient; each photo's samples are one another's baseline.

    Attributes:
        samples: captions drawn for each photo.
        max_length: of a sample, in words.
    """

    samples: int = Field(5, ge=2)
    max_length: Count = 20


class Stages(Strict):
    """The stages to run, in this order; those left out are not run."""

    language: LanguageStage | None = None
    cross_entropy: CrossEntropyStage | None = None
    fine_tune: FineTuneStage | None = None
    self_critical: SelfCriticalStage | None = None


class CaptionTrainingConfig(StagedConfig):
    """A whole training of a photo captioner.

    Attributes:
        init: a photo captioner to go on from, with its networks and words: a model in the package, a folder, or
            `hf-hub:owner/name`. Without it `encoder` says which CNN a new one has.
        runs: how often to run the stages after `language`, from what that one kept.
        search_precision: of the decoder when it captions, on a CPU that multiplies bfloat16; other CPUs use float32.
        concepts: how many of the commonest words the finished model learns to tell with probabilities, which takes a
            look at every photo once more; 0 for none.
    """

    kind: Literal["caption"] = "caption"
    purpose: str = "captions photos"
    data: DataConfig
    init: str | None = None
    encoder: EncoderChoice | None = None
    decoder: DecoderConfig = Field(default_factory=lambda: DecoderConfig.model_validate({}))
    search: DecodingConfig = DecodingConfig()
    search_precision: Precision = "float32"
    concepts: int = Field(0, ge=0)
    stages: Stages

    @model_validator(mode="after")
    def _one_start(self) -> "CaptionTrainingConfig":
        if (self.init is None) == (self.encoder is None):
            raise ValueError("give either init, a captioner to go on from, or encoder, a CNN for a new one")
        if self.init is not None and "decoder" in self.model_fields_set:
            raise ValueError("init brings its decoder along; leave decoder out")
        return self
