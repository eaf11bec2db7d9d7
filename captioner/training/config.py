"""Training configurations: YAML files, checked, with `dotted.key=value` overrides from the command line.

The key `kind` says what is trained. This module has what all kinds share; each has its own keys in a module of its own,
which is imported only for that kind.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from captioner.applications import APPLICATIONS, resolve
from captioner.errors import ConfigError, UsageError
from captioner.training.yaml_values import parse_yaml
from captioner.vision.encoder import Precision

Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what NumPy's takes, with room for stages and processes


def _here(path: Path) -> Path:
    if re.match(r"[A-Za-z0-9+]{2,}:/", path.as_posix()):
        raise ValueError("a folder of this machine is wanted; addresses go into photos and captions of data.sets")
    return path


LocalFolder = Annotated[Path, AfterValidator(_here)]


class Strict(BaseModel):
    """A part of a configuration: unknown keys are errors, values do not change, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Stage(Strict):
    """What all stages share.

    Attributes:
        epochs: passes over the training split, at most.
        batch_size: examples a step, in each process where there are several.
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


class TrainingConfig(Strict):
    """What all trainings share; each kind adds its data, networks and stages.

    Attributes:
        kind: of model, which names the class that holds the other keys.
        purpose: one line for `captioner models`.
        notes: for the model card: the data's licences, what the model is good and bad at, test scores; Markdown.
        seed: of everything random.
        precision: of training's arithmetic; `bfloat16` keeps float32 weights and needs a GPU or a CPU with AMX to be
            faster.
        checkpoint_steps: steps between checkpoints, besides one after every epoch.
        workers: processes that decode photos or clips where they are decoded while training.
    """

    kind: str
    purpose: str
    notes: str = ""
    seed: Seed = 0
    precision: Precision = "bfloat16"
    checkpoint_steps: Count = 200
    workers: int = Field(2, ge=0)

    def one_process(self) -> str | None:
        """Why this training is for one process only; None where several can share it."""
        return None

    def one_machine(self) -> str | None:
        """Why its processes must be on one machine; None where they may be on several."""
        return None


class StagedConfig(TrainingConfig):
    """A training in stages, for which `training.Training` is made.

    Attributes:
        runs: how often to run the stages, with other draws. The model is the mean of the weights that the runs end with
            (Wortsman et al., 2022, "Model soups"), which costs no time when it is used.
        stages: in this order; those that are null are not run.
    """

    runs: Count = 1
    stages: Strict


class EncoderOptions(Strict):
    """How a CNN of timm's is made.

    Attributes:
        weights: a local safetensors file in timm's key names; without it `pretrained` decides.
        pretrained: fetch timm's weights from the model hub.
        size: of the square input in pixels; the network's own by default.
        crop: `squash` keeps the whole picture; `center` is timm's evaluation crop.
        precision: of the arithmetic.
    """

    weights: Path | None = None
    pretrained: bool = True
    size: Annotated[int, Field(ge=32, le=4096)] | None = None
    crop: Literal["squash", "center"] = "squash"
    precision: Precision = "float32"


class ClipEncoder(EncoderOptions):
    """The CNN: that of a model in the package, or one of timm's.

    Attributes:
        model: a photo captioner whose CNN is shared; its weights are then not stored again.
        name: timm's name.
    """

    model: str | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ClipEncoder":
        if (self.model is None) == (self.name is None):
            raise ValueError("give either model, whose CNN is shared, or name, a network of timm's")
        return self


def load_config(path: Path, overrides: Sequence[str] = ()) -> Any:
    """Read a configuration and apply overrides.

    Args:
        path: YAML file.
        overrides: `dotted.key=value`, the value in YAML.

    Returns:
        the `TrainingConfig` of the file's kind, which is `caption` where the file names none.

    Raises:
        ConfigError: the file is no YAML mapping, or a key is unknown or a value wrong; the message names the key, the
            choices and the file.
        UsageError: an override has no `=`.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not YAML ({reason}).") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a configuration, which is a YAML mapping with data, encoder and stages.")
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign or not key:
            raise UsageError(f"{_short(override)} is no override; write dotted.key=value, such as data.root=photos.")
        try:
            _set(values, key.split("."), parse_yaml(value), path)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise UsageError(f"{_short(override)}: {_short(value)} is not a YAML value; quote it.") from None
    schema = _schema(values.get("kind", "caption"), path)
    try:
        config = schema.model_validate(values)
        _check_flags(values, config.model_dump(), path)
        return config
    except ValidationError as error:
        raise ConfigError(_explain(error, schema, path)) from None
    except UsageError as error:  # from Search, which command-line options make too
        raise ConfigError(f"{path}: search: {error}") from None


def _schema(kind: Any, path: Path) -> type[TrainingConfig]:
    """The configuration class of a kind."""
    if not isinstance(kind, str) or kind not in APPLICATIONS:
        raise ConfigError(f"{path}: kind is {_short(kind)}; choose from {', '.join(APPLICATIONS)}.")
    return resolve(APPLICATIONS[kind].config)


def _check_flags(given: Any, meant: Any, path: Path, key: str = "") -> None:
    """Refuse true and false where a number is wanted, which would be 1 and 0."""
    if isinstance(given, bool) and not isinstance(meant, bool):
        raise ConfigError(f"{path}: {key} is {given}; give a number.")
    if isinstance(given, dict) and isinstance(meant, dict):
        for name, value in given.items():
            _check_flags(value, meant.get(name), path, f"{key}.{name}".lstrip("."))


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


def _explain(error: ValidationError, schema: type[TrainingConfig], path: Path) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        choices = _choices(schema, first["loc"][:-1])
        close = get_close_matches(str(first["loc"][-1]), choices, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        return f"{path}: unknown key {key}; choose from {', '.join(choices)}.{hint}"
    if first["type"] == "missing":
        return f"{path}: the key {key} is missing."
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error" and isinstance(first["input"], dict):  # one of ours, about several keys
        return f"{path}: {key + ': ' if key else ''}{message}."
    return f"{path}: {key or 'the configuration'} is {_short(first['input'])}: {message}."


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _choices(schema: type[TrainingConfig], location: tuple[int | str, ...]) -> list[str]:
    """The keys that exist at a place in the configuration."""
    annotation: Any = schema
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
