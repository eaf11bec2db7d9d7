"""Model folders: `config.json`, `model.safetensors`, `vocabulary.json` and the model card `README.md`; never pickle.

A model is named by what ships in the package, by a folder, or as `hf-hub:owner/name[@revision]`. The key `kind` of its
configuration says which class it is; that class is imported only then. A classifier's labels are in its configuration,
so it has no vocabulary.
"""

import json
import re
import sys
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from captioner.applications import APPLICATIONS, FILES, MORE_FILES, resolve
from captioner.errors import ModelError, UsageError
from captioner.text.tokenization import Tokenization
from captioner.text.vocabulary import Vocabulary
from captioner.weights import Arrays, Weights, read_arrays, read_tensors, write_atomically, write_tensors

if TYPE_CHECKING:  # importing it takes longer than a search of ten thousand photos
    import torch

Config = TypeVar("Config", bound=BaseModel)
Tensors = TypeVar("Tensors")
DEFAULT = "photos"
_HUB = "hf-hub:"
_HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
FORMAT = 2
"""Of model folders, in `config.json`; a reader knows this one and all before it."""
_SINCE_FORMAT_2 = {"decoder.picture.": "decoder.image_projection.", "decoder.readout.": "decoder.output_projection."}


def load(model: str | Path = DEFAULT, device: str = "auto", kinds: tuple[str, ...] = ()) -> Any:
    """Load a trained model.

    Args:
        model: a name that `captioner models` lists, a model folder, or `hf-hub:owner/name`; with `@revision` a branch,
            a tag or a commit of it, so that nobody can exchange the model later.
        device: `auto` takes a GPU if there is one; or `cpu`, `cuda`, `cuda:1` ...
        kinds: that the caller can use; all by default.

    Returns:
        a `Captioner`, `LanguageModel`, `Translator`, `VideoClassifier` or `VideoCaptioner`, as its `config.json` says.

    Raises:
        ModelError: there is no such model, its files cannot be used, or it is of another kind.
        UsageError: there is no such device.
    """
    folder = find(model)
    kind = kind_of(folder)
    if kinds and kind not in kinds:
        wanted = " or ".join(APPLICATIONS[each].noun for each in kinds)
        found = APPLICATIONS[kind]
        raise ModelError(f"{model} is {found.noun}, not {wanted}; use it with: {use(kind, model)}.")
    return resolve(APPLICATIONS[kind].model).load(folder, choose_device(device), str(model))


def use(kind: str, model: str | Path) -> str:
    """The command that uses a model of a kind."""
    return APPLICATIONS[kind].use.format(model=model)


def kind_of(folder: Path) -> str:
    """What a model folder's `config.json` says it is.

    Raises:
        ModelError: it cannot be read, or names no kind that there is.
    """
    path = folder / "config.json"
    kind = read_json(path).get("kind")
    if not isinstance(kind, str) or kind not in APPLICATIONS:
        raise ModelError(f"{path}: kind is {kind!r}; this captioner knows {', '.join(APPLICATIONS)}.")
    return kind


def shipped() -> dict[str, Path]:
    """The folders of the models in the package, by name."""
    root = Path(str(files("captioner.pretrained")))
    return {folder.name: folder for folder in sorted(root.iterdir()) if (folder / "config.json").is_file()}


def translator_to(language: str) -> str:
    """The name of the shipped model that translates into a language, such as `de`.

    Raises:
        UsageError: there is none; the languages that there are models for are listed.
    """
    targets: dict[str, str] = {}
    for name, folder in shipped().items():
        config = read_json(folder / "config.json")
        if config.get("kind") == "translate":
            targets[str(config.get("target"))] = name
    if language not in targets:
        known = ", ".join(sorted(targets)) or "none"
        raise UsageError(f"there is no model in the package that translates into {language!r}, but into: {known}.")
    return targets[language]


def find(model: str | Path) -> Path:
    """The folder of a model, downloaded first if it is on the hub.

    Raises:
        ModelError: there is none; what exists is listed.
    """
    name, here = str(model), Path(model)
    if name.startswith(_HUB):
        return _whole(_download(name), name, "Fetch it again with the network, or ask who published it.")
    if name in shipped():
        return shipped()[name]
    if here.is_dir():
        return _whole(here, name, "Copy the whole folder again.")
    known = ", ".join(shipped()) or "none"
    raise ModelError(f"{name}: no such model. In the package: {known}. A folder or {_HUB}owner/name works too.")


def _whole(folder: Path, name: str, remedy: str) -> Path:
    wanted = APPLICATIONS[kind_of(folder)].files if (folder / "config.json").is_file() else FILES
    missing = [file for file in wanted if not (folder / file).is_file()]
    if missing:
        raise ModelError(
            f"{name}: a model folder holds {', '.join(wanted)}; here {', '.join(missing)} is missing. {remedy}"
        )
    return folder


def tokenization_of(name: str) -> Tokenization:
    """How a model's captions become tokens, without loading its networks.

    Raises:
        ModelError: there is no such model, or its vocabulary cannot be read.
    """
    return Vocabulary.load(find(name) / "vocabulary.json").tokenization


def choose_device(device: str) -> "torch.device":
    """The device of a name; `auto` is a GPU where there is one.

    Raises:
        UsageError: no such device, or this PyTorch finds no GPU.
    """
    import torch

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
    values = read_json(path)
    _format(path, values)
    try:
        return schema.model_validate_json(json.dumps({key: value for key, value in values.items() if key != "format"}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(f"{path}: {key}: {first['msg']}; this captioner cannot read it.") from error


def read_weights(folder: Path) -> Weights:
    """A model's `model.safetensors`, under the names that tensors have today, whatever its format.

    Raises:
        ModelError: it is missing or cut, or its configuration cannot be read.
    """
    return _of_today(folder, read_tensors(folder / "model.safetensors"))


def read_weight_arrays(folder: Path) -> Arrays:
    """As `read_weights`, but arrays, without PyTorch.

    Raises:
        ModelError: it is missing or cut, or its configuration cannot be read.
    """
    return _of_today(folder, read_arrays(folder / "model.safetensors"))


def _of_today(folder: Path, tensors: dict[str, Tensors]) -> dict[str, Tensors]:
    path = folder / "config.json"
    if _format(path, read_json(path)) >= FORMAT:
        return tensors
    return {_renamed(name): value for name, value in tensors.items()}


def _renamed(name: str) -> str:
    for old, new in _SINCE_FORMAT_2.items():
        name = name.replace(old, new)
    return name


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder, unchecked; nothing where it holds something else than an object.

    Raises:
        ModelError: it cannot be read, or is not JSON.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); copy the whole model folder again.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON ({error}); copy the whole model folder again.") from error
    return values if isinstance(values, dict) else {}


def _format(path: Path, values: dict[str, Any]) -> int:
    """The format of a model folder; those written before there was a number have format 1."""
    number = values.get("format", 1)
    if not isinstance(number, int) or number < 1:
        raise ModelError(f"{path}: format is {number!r}, not a number; copy the whole model folder again.")
    if number > FORMAT:
        raise ModelError(f"{path}: has format {number}, and this captioner reads up to {FORMAT}; update it.")
    return number


def write_model(folder: Path, config: BaseModel, weights: Weights, card: str) -> None:
    """Write a model folder but for its vocabulary; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", weights)
    values = {"format": FORMAT, **config.model_dump(mode="json")}
    write_atomically(folder / "config.json", json.dumps(values, indent=2) + "\n")
    write_atomically(folder / "README.md", card)


def _download(name: str) -> Path:
    found = _HUB_NAME.fullmatch(name.removeprefix(_HUB))
    if found is None:
        raise ModelError(
            f"{name}: not the name of a model on the hub; write {_HUB}owner/name or {_HUB}owner/name@revision."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    fetch = partial(snapshot_download, found[1], revision=found[2], allow_patterns=[*FILES, *MORE_FILES, "README.md"])
    try:
        try:
            return Path(fetch())
        except (HfHubHTTPError, OSError, ValueError):
            raise
        except Exception:  # of the client's HTTP library, which its versions change: the connection broke
            return Path(fetch(local_files_only=True))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"{name}: cannot be fetched from the model hub ({reason}); check the name and the network."
        ) from error
