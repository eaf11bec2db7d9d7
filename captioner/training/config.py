"""Training configurations: YAML files, checked, with `dotted.key=value` overrides from the command line."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from captioner.decoding.steps import Search
from captioner.errors import ConfigError, UsageError
from captioner.models.caption import DecoderConfig
from captioner.vision.encoder import Precision

Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CaptionFile(_Strict):
    """One set of captioned photos. Paths are relative to `data.root`.

    Attributes:
        captions: COCO or Karpathy JSON, or a zip file that holds one.
        photos: folders and zip files with the photos.
        split: which split the photos of a COCO file are; Karpathy's files say their own.
        hold_out: how many training photos of a COCO file become its validation split.
    """

    captions: Path
    photos: list[Path] = Field(min_length=1)
    split: Literal["train", "val", "test"] = "train"
    hold_out: int = Field(0, ge=0)


class DataConfig(_Strict):
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
        cache: folder for the photos' features; `features` in the run folder by default.
    """

    root: Path = Path()
    sets: dict[str, CaptionFile] = Field(min_length=1)
    text: list[Path] = []
    min_count: Count = 5
    max_caption_length: Count = 30
    allow_missing: bool = False
    mirror: bool = True
    cache: Path | None = None


class EncoderChoice(_Strict):
    """The CNN.

    Attributes:
        name: timm's name.
        weights: a local safetensors file in timm's key names; without it `pretrained` decides.
        pretrained: fetch timm's weights from the model hub.
        size: of the square input in pixels; the network's own by default.
        crop: `squash` keeps the whole picture; `center` is timm's evaluation crop.
        precision: of the arithmetic on a CPU.
    """

    name: str
    weights: Path | None = None
    pretrained: bool = True
    size: Count | None = None
    crop: Literal["squash", "center"] = "squash"
    precision: Precision = "float32"


class Stage(_Strict):
    """What all stages share.

    Attributes:
        epochs: passes over the training split, at most.
        batch_size: photos (in the language stage: captions) a step.
        learning_rate: the highest, after warming up; a cosine takes it to zero.
        warmup: share of the steps in which the rate rises.
        weight_decay: of AdamW.
        clip_norm: longest gradient.
        average: decay a step of the weights' moving average, which is what is validated and kept.
        patience: validations without a better score before the stage ends.
    """

    epochs: Count
    batch_size: Count = 64
    learning_rate: Rate
    warmup: Share = 0.05
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: Rate = 1.0
    average: Share = 0.998
    patience: Count = 4


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
    """

    encoder_rate: Rate = 0.1
    frozen: Share = 0.0
    smallest_crop: Share = 0.7
    jitter: Share = 0.2


class SelfCriticalStage(Stage):
    """CIDEr-D optimised by policy gradient; each photo's samples are one another's baseline.

    Attributes:
        samples: captions drawn for each photo.
        max_length: of a sample, in words.
    """

    samples: int = Field(5, ge=2)
    max_length: Count = 20


class Stages(_Strict):
    """The stages to run, in this order; those left out are not run."""

    language: LanguageStage | None = None
    cross_entropy: CrossEntropyStage | None = None
    fine_tune: FineTuneStage | None = None
    self_critical: SelfCriticalStage | None = None


class TrainingConfig(_Strict):
    """A whole training of a photo captioner.

    Attributes:
        purpose: one line for `captioner models`.
        precision: of training's arithmetic; `bfloat16` keeps float32 weights and needs a GPU or a CPU with AMX to be
            faster.
        search_precision: of the decoder when it captions, on a CPU that multiplies bfloat16; other CPUs use float32.
        checkpoint_steps: steps between checkpoints, besides one after every epoch.
    """

    kind: Literal["caption"] = "caption"
    purpose: str = "captions photos"
    seed: int = 0
    precision: Precision = "bfloat16"
    checkpoint_steps: Count = 200
    data: DataConfig
    encoder: EncoderChoice
    decoder: DecoderConfig = Field(default_factory=lambda: DecoderConfig.model_validate({}))
    search: Search = Search()
    search_precision: Precision = "float32"
    stages: Stages


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a configuration and apply overrides.

    Args:
        path: YAML file.
        overrides: `dotted.key=value`, the value in YAML.

    Raises:
        ConfigError: the file is no YAML mapping, or a key is unknown or a value wrong; the message names the key, the
            choices and the file.
        UsageError: an override has no `=`.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not YAML ({reason}).") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a configuration, which is a YAML mapping with data, encoder and stages.")
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign or not key:
            raise UsageError(f"{override!r} is no override; write dotted.key=value, such as data.root=photos.")
        try:
            _set(values, key.split("."), yaml.safe_load(value), path)
        except yaml.YAMLError:
            raise UsageError(f"{override!r}: {value!r} is not a YAML value; quote it.") from None
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, path)) from None
    except UsageError as error:  # from Search, which command-line options make too
        raise ConfigError(f"{path}: search: {error}") from None


def _set(values: dict[str, Any], keys: list[str], value: Any, path: Path) -> None:
    for depth, key in enumerate(keys[:-1]):
        inner = values.setdefault(key, {})
        if inner is None:
            inner = values[key] = {}
        if not isinstance(inner, dict):
            raise ConfigError(
                f"{path}: {'.'.join(keys[: depth + 1])} holds a value, so {'.'.join(keys)} cannot be set."
            )
        values = inner
    values[keys[-1]] = value


def _explain(error: ValidationError, path: Path) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        choices = _choices(first["loc"][:-1])
        close = get_close_matches(str(first["loc"][-1]), choices, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        return f"{path}: unknown key {key}; choose from {', '.join(choices)}.{hint}"
    if first["type"] == "missing":
        return f"{path}: the key {key} is missing."
    return f"{path}: {key or 'the configuration'} is {first['input']!r}: {first['msg']}."


def _choices(location: tuple[int | str, ...]) -> list[str]:
    """The keys that exist at a place in the configuration."""
    annotation: Any = TrainingConfig
    for part in location:
        mapping = get_origin(annotation) is dict
        annotation = get_args(annotation)[1] if mapping else _fields(annotation)[part].annotation
    return sorted(_fields(annotation))


def _fields(annotation: Any) -> Any:
    """The fields of a model or dataclass, also where it is optional."""
    for each in (annotation, *get_args(annotation)):
        fields = getattr(each, "model_fields", None) or getattr(each, "__dataclass_fields__", None)
        if fields:
            return fields
    raise TypeError(f"{annotation} has no keys")
