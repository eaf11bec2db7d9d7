"""`captioner export`: a captioner's networks as ONNX, as OpenVINO's form or as a page, with all that a search needs."""

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.errors import UsageError
from captioner.models.base import load
from captioner.models.caption import Captioner
from captioner.models.caption_export import STATE, FitNetwork, StartNetwork, StepNetwork, context_names
from captioner.pipelines.share.int8 import examples, quantize
from captioner.pipelines.share.options import ExportOptions
from captioner.text import english

OPSET = 18
_SEARCH = ("beam_size", "min_length", "max_length", "length_penalty", "no_repeat_ngram")
Networks = Mapping[str, tuple[nn.Module, Mapping[str, Tensor], Sequence[str]]]


def export(options: ExportOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: an option is wrong, the folder is there already, or the extra is not installed.
        ModelError: the model cannot be used.
    """
    if options.output.exists() and (not options.output.is_dir() or any(options.output.iterdir())):
        raise UsageError(f"{options.output}: is there already; choose a new folder.")
    if options.runtime is not None and options.form != "web":
        raise UsageError("--runtime is for --format web, which takes onnxruntime-web along.")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(f'captioner export needs {error.name}: pip install "captioner[export]"') from error
    model: Captioner = load(options.model, "cpu", ("caption",))
    if model.transform.interpolation == "area":
        raise UsageError(
            f"{options.model}: resizes by area, which only this package does as it does; nothing is exported."
        )
    if model.vocabulary.tokenization.scheme != "ptb":
        raise UsageError(
            f"{options.model}: only this package makes sentences of its words, which are not made as in English; "
            "nothing is exported."
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent, prefix="export-") as scratch:
        folder = Path(scratch) / "made"
        folder.mkdir()
        if options.form == "web":
            from captioner.pipelines.share.web import add_page

            add_page(folder, options.runtime)
        else:
            shutil.copyfile(str(files("captioner.pipelines.share") / "runner.py"), folder / "caption.py")
        seen = None if options.int8 is None else examples(options.int8, model.transform)
        export_onnx(model, folder)
        if seen is not None:
            quantize(folder / "encoder.onnx", seen)
        if options.form == "openvino":
            to_openvino(folder)
        shutil.copytree(folder, options.output, dirs_exist_ok=True)
    size = sum(file.stat().st_size for file in options.output.iterdir())
    print(
        f"{options.output}: {', '.join(sorted(file.name for file in options.output.iterdir()))} ({size / 1e6:.1f} MB)"
    )
    return 0


def export_onnx(model: Captioner, folder: Path) -> None:
    """Write a captioner's networks as ONNX, and `captioner.json`.

    All take any number of images, and a step any number of hypotheses.
    """
    for name, (network, inputs, outputs) in _networks(model).items():
        shapes = [_dynamic(each) for each in inputs]
        with _quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                network.eval(),
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=shapes if name != "step" else (shapes[0], tuple(shapes[1:])),
                opset_version=OPSET,
                verbose=False,
            )
            program.save(str(folder / f"{name}.onnx"), external_data=False)
    (folder / "captioner.json").write_text(json.dumps(about(model), ensure_ascii=False) + "\n", encoding="utf-8")


def about(model: Captioner) -> dict[str, Any]:
    """What `captioner.json` holds: how pixels are made, how words are searched, and how they become a sentence."""
    transform, search = asdict(model.transform), asdict(model.config.search)
    if search["method"] != "beam":
        raise UsageError(
            f"{model.name}: samples its captions; an exported captioner searches. Set search.method to beam."
        )
    config = model.decoder.config
    return {
        "format": 1,
        "model": Path(model.name).name,
        "size": transform["size"],
        "interpolation": transform["interpolation"],
        "crop": transform["crop"],
        "crop_pct": transform["crop_pct"],
        "grid": model.encoder.grid_shape(),
        "state": STATE[config.unit],
        "context": context_names(model.decoder),
        "search": {name: search[name] for name in _SEARCH},
        "choose": _choose(model),
        "english": english.rules(),
        "tokens": model.vocabulary.tokens,
    }


def _choose(model: Captioner) -> dict[str, Any] | None:
    """How one of the captions that a search finds is chosen, by `fit`: how many tokens of each that reads."""
    return {"steps": model.config.search.max_length + 1} if model.finder.chooses else None


def _networks(model: Captioner) -> Networks:
    """The networks with examples of their inputs and the names of their outputs."""
    encoder, decoder = model.encoder.float().cpu(), model.decoder.float().cpu()
    state, context = STATE[decoder.config.unit], context_names(decoder)
    start, step = StartNetwork(decoder).eval(), StepNetwork(decoder).eval()
    pixels = torch.zeros(2, *model.transform.size, 3, dtype=torch.uint8)
    with torch.no_grad():
        grid = torch.randn(2, int(np.prod(encoder.grid_shape())), encoder.channels)
        begun = dict(zip((*state, *context), start(grid), strict=True))
    # two numbers that are equal would be taken for one: two images, three hypotheses
    read = {name: value.expand(-1, 3, -1, -1).contiguous() if name in state else value for name, value in begun.items()}
    attention = ("attention",) * decoder.config.attention
    networks: dict[str, tuple[nn.Module, dict[str, Tensor], tuple[str, ...]]] = {
        "encoder": (encoder, {"pixels": pixels}, ("grid",)),
        "start": (start, {"grid": grid}, tuple(begun)),
        "step": (
            step,
            {"tokens": torch.full((2, 3), 1), **read},
            ("log_probs", *attention, *(f"new_{name}" for name in state)),
        ),
    }
    if choice := _choose(model):
        tokens = torch.full((2, 3, choice["steps"]), 1)
        networks["fit"] = (FitNetwork(model.finder).eval(), {"grid": grid, "tokens": tokens}, ("fits",))
    return networks


def _dynamic(name: str) -> dict[int, Any]:
    images: dict[int, Any] = {0: torch.export.Dim("images")}
    return images | ({1: torch.export.Dim("hypotheses")} if name in ("tokens", "h", "c") else {})


def to_openvino(folder: Path) -> None:
    """Replace the networks by OpenVINO's form of them."""
    from captioner.vision.compiled import import_openvino

    openvino = import_openvino()
    for path in sorted(folder.glob("*.onnx")):
        openvino.save_model(openvino.convert_model(path), path.with_suffix(".xml"), compress_to_fp16=False)
        path.unlink()


@contextmanager
def _quiet() -> Any:
    """Without the exporter's remarks, which are about its own insides."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(before)
