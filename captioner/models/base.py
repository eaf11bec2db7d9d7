"""Model folders: `config.json`, `model.safetensors`, `vocabulary.json` and the model card `README.md`; never pickle.

A model is named by what ships in the package, by a folder, or as `hf-hub:owner/name`. The key `kind` of its
configuration says which class it is; that class is imported only then. A classifier's labels are in its configuration,
so it has no vocabulary.
"""

import json
import os
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from captioner.errors import ModelError, UsageError

Weights = dict[str, Tensor]
Config = TypeVar("Config", bound=BaseModel)
DEFAULT = "photos"
_HUB = "hf-hub:"
FILES = ("config.json", "model.safetensors", "vocabulary.json")


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        home: `module:Class`; the class has `load(folder, device, name)`.
        noun: what a model of this kind is called.
        command: that uses the model `{model}`.
        files: without which a folder is no such model.
    """

    home: str
    noun: str
    command: str
    files: tuple[str, ...] = FILES


KINDS = {
    "caption": Kind(
        "captioner.models.caption:Captioner", "a photo captioner", "captioner caption PHOTOS --model {model}"
    ),
    "classify": Kind(
        "captioner.models.classify:VideoClassifier",
        "a video classifier",
        "captioner classify CLIPS --model {model}",
        FILES[:2],
    ),
    "language": Kind(
        "captioner.models.language:LanguageModel", "a language model", "captioner perplexity {model} FILE.txt"
    ),
    "video": Kind(
        "captioner.models.video_caption:VideoCaptioner", "a video captioner", "captioner caption CLIPS --model {model}"
    ),
}


def load(model: str | Path = DEFAULT, device: str = "auto", kinds: tuple[str, ...] = ()) -> Any:
    """Load a trained model.

    Args:
        model: a name that `captioner models` lists, a model folder, or `hf-hub:owner/name`.
        device: `auto` takes a GPU if there is one; or `cpu`, `cuda`, `cuda:1` ...
        kinds: that the caller can use; all by default.

    Returns:
        a `Captioner`, `LanguageModel`, `VideoClassifier` or `VideoCaptioner`, as its `config.json` says.

    Raises:
        ModelError: there is no such model, its files cannot be used, or it is of another kind.
        UsageError: there is no such device.
    """
    folder = find(model)
    kind = kind_of(folder)
    if kinds and kind not in kinds:
        wanted = " or ".join(KINDS[each].noun for each in kinds)
        found = KINDS[kind]
        raise ModelError(f"{model} is {found.noun}, not {wanted}; use it with: {use(kind, model)}.")
    module, _, name = KINDS[kind].home.partition(":")
    return getattr(import_module(module), name).load(folder, choose_device(device), str(model))


def use(kind: str, model: str | Path) -> str:
    """The command that uses a model of a kind."""
    return KINDS[kind].command.format(model=model)


def kind_of(folder: Path) -> str:
    """What a model folder's `config.json` says it is.

    Raises:
        ModelError: it cannot be read, or names no kind that there is.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); copy the whole model folder again.") from error
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); copy the whole model folder again.") from error
    kind = config.get("kind") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(f"{path}: kind is {kind!r}; this captioner knows {', '.join(KINDS)}.")
    return kind


def shipped() -> dict[str, Path]:
    """The folders of the models in the package, by name."""
    root = Path(str(files("captioner.pretrained")))
    return {folder.name: folder for folder in sorted(root.iterdir()) if (folder / "config.json").is_file()}


def find(model: str | Path) -> Path:
    """The folder of a model, downloaded first if it is on the hub.

    Raises:
        ModelError: there is none; what exists is listed.
    """
    name, here = str(model), Path(model)
    if name.startswith(_HUB):
        return _download(name)
    if name in shipped():
        return shipped()[name]
    if here.is_dir():
        wanted = KINDS[kind_of(here)].files if (here / "config.json").is_file() else FILES
        missing = [file for file in wanted if not (here / file).is_file()]
        if missing:
            raise ModelError(
                f"{here}: a model folder holds {', '.join(wanted)}; here {', '.join(missing)} is missing. Copy "
                "the whole folder again."
            )
        return here
    known = ", ".join(shipped()) or "none"
    raise ModelError(f"{name}: no such model. In the package: {known}. A folder or {_HUB}owner/name works too.")


def choose_device(device: str) -> torch.device:
    """The device of a name; `auto` is a GPU where there is one.

    Raises:
        UsageError: no such device, or this PyTorch finds no GPU.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or not (index.isdigit() or not index):
        raise UsageError(f"device is {device!r}; choose auto, cpu, cuda or cuda:N.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device is {device}, but PyTorch finds {torch.cuda.device_count()} GPUs here; use --device cpu."
        )
    return torch.device(device)


def read_config(folder: Path, schema: type[Config]) -> Config:
    """A model's `config.json`, checked.

    Raises:
        ModelError: it is missing, not JSON, or has wrong keys or values.
    """
    path = folder / "config.json"
    try:
        return schema.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); copy the whole model folder again.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(f"{path}: {key}: {first['msg']}; this captioner cannot read it.") from error


def read_tensors(path: Path) -> Weights:
    """All tensors of a safetensors file.

    Raises:
        ModelError: the file is missing, cut or not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a complete safetensors file ({error}); copy or download it again.") from error


def check_fit(found: Weights, expected: Weights, path: Path) -> None:
    """Refuse weights that are not exactly those a network has.

    Raises:
        ModelError: a tensor is missing, unknown, or of another shape; the first one is named.
    """
    for name in expected:
        if name not in found:
            raise ModelError(f"{path}: tensor {name} is missing; copy the whole model folder again.")
        if found[name].shape != expected[name].shape:
            raise ModelError(
                f"{path}: tensor {name} has shape {tuple(found[name].shape)}, but config.json makes it "
                f"{tuple(expected[name].shape)}; the two come from different trainings."
            )
    spare = found.keys() - expected.keys()
    if spare:
        raise ModelError(f"{path}: has the tensor {min(spare)}, which config.json has no place for.")


def write_model(folder: Path, config: BaseModel, weights: Weights, card: str) -> None:
    """Write a model folder but for its vocabulary; each file appears whole or not at all."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    half = {
        name: value.detach().to("cpu", torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for name, value in weights.items()
    }
    temporary = folder / "model.safetensors.part"
    save_file(half, temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)  # safetensors makes it unreadable to others, as a package's files must not be
    os.replace(temporary, folder / "model.safetensors")
    text = json.dumps(config.model_dump(mode="json"), indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name.removeprefix(_HUB), allow_patterns=[*FILES, "README.md"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"{name}: cannot be fetched from the model hub ({reason}); check the name and the network."
        ) from error
