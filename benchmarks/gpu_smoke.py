"""Every kind of training and use on one GPU for a few steps, with assertions; then words and photos a second.

    python benchmarks/gpu_smoke.py [--device cpu]

Photos and clips of coloured squares are drawn in a temporary folder. Nothing is fetched. On a CPU it shows only that it
runs, so nothing is timed there.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from captioner import applications
from captioner.models.base import load
from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.pipelines.train.command import train
from captioner.training.batches import Batch
from captioner.training.caption.objective import CrossEntropy
from captioner.vision.encoder import Encoder, Engine, default_transform

COLOURS = {"red": (40, 40, 220), "green": (40, 180, 40), "blue": (220, 80, 40)}
ENCODER = {"name": "test_resnet", "pretrained": False, "size": 64}
DECODER = {"hidden_size": 32, "embedding_size": 32, "heads": 2, "dropout": 0.0}
STAGE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.003}


def draw(root: Path) -> None:
    """Write 24 photos with captions, and 6 clips in folders of two classes with captions."""
    random = np.random.default_rng(0)
    (root / "photos").mkdir(parents=True)
    images, annotations = [], []
    for number in range(24):
        colour = list(COLOURS)[number % 3]
        photo = random.integers(200, 256, (64, 64, 3), np.uint8)
        photo[20:44, 20:44] = COLOURS[colour]
        cv2.imwrite(str(root / "photos" / f"{number}.png"), photo)
        images.append({"id": number, "file_name": f"{number}.png"})
        annotations.append({"id": number, "image_id": number, "caption": f"A {colour} square on a grey ground."})
    (root / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    videos, sentences = [], []
    for number in range(6):
        colour = ("red", "blue")[number % 2]
        path = root / "clips" / colour / f"{number}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 64))
        for step in range(10):
            frame = random.integers(150, 200, (64, 64, 3), np.uint8)
            frame[20:44, 2 * step : 2 * step + 24] = COLOURS[colour]
            writer.write(frame)
        writer.release()
        videos.append({"video_id": str(number), "split": "train" if number < 4 else "validate"})
        sentences.append({"video_id": str(number), "caption": f"A {colour} square moves to the right."})
    (root / "clips.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    (root / "text.txt").write_text("a red square moves on a grey ground\n" * 400)
    pairs = "a red square\tein rotes Quadrat\na blue square moves\tein blaues Quadrat zieht\n"
    (root / "pairs.tsv").write_text(pairs * 40)
    (root / "lines").mkdir()
    for number, word in enumerate(["red", "blue", "green", "square", "ground"] * 4):
        line = np.full((40, 28 * len(word)), 255, np.uint8)
        cv2.putText(line, word, (4, 28), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 0, 2)
        cv2.imwrite(str(root / "lines" / f"{number}.png"), line)
        (root / "lines" / f"{number}.txt").write_text(word)


def configurations(root: Path) -> dict[str, dict[str, Any]]:
    """A small training of each kind."""
    photos = {"captions": "captions.json", "photos": ["photos"], "hold_out": 6}
    caption = {"data": {"root": str(root), "sets": {"squares": photos}, "min_count": 1}, "encoder": ENCODER}
    stages = dict.fromkeys(("language", "cross_entropy", "self_critical"), STAGE)
    stages |= {"fine_tune": {**STAGE, "matching": 0.5}}
    text = {"tokens": "words", "train": ["text.txt"], "valid": ["text.txt"]}
    network = {"hidden_size": 32, "embedding_size": 32, "weight_dropout": 0.2}
    clips = {"data": {"root": str(root / "clips"), "views": 1}, "encoder": ENCODER, "frames": {"count": 4}}
    windows = {"language": {**STAGE, "steps": 20}}
    return {
        "caption": {**caption, "kind": "caption", "decoder": DECODER, "runs": 2, "stages": stages},
        "language_words": {
            "kind": "language",
            "data": {"root": str(root), **text},
            "network": network,
            "stages": windows,
        },
        "language_captions": {
            "kind": "language",
            "data": {"root": str(root), "tokens": "captions", "train": ["captions.json"], "valid": ["val.json"]},
            "network": network,
            "stages": windows,
        },
        "classify": {
            **clips,
            "kind": "classify",
            "network": {"hidden_size": 8, "components": 8},
            "stages": {"fit": {"steps": 20}, "fine_tune": {**STAGE, "batch_size": 2}},
        },
        "video": {
            "kind": "video",
            "data": {"root": str(root), "captions": "clips.json", "clips": "clips", "min_count": 1},
            "encoder": ENCODER,
            "frames": 4,
            "decoder": DECODER,
            "temporal": {"hidden_size": 16},
            "stages": {"cross_entropy": STAGE},
        },
        "translate": {
            "kind": "translate",
            "source": "en",
            "target": "de",
            "data": {
                "root": str(root),
                "pieces": 100,
                "train": [{"table": "pairs.tsv"}],
                "valid": {"pairs": {"table": "pairs.tsv"}},
            },
            "reader": {"hidden_size": 16},
            "decoder": {"unit": "gru", "hidden_size": 32, "embedding_size": 32, "heads": 2},
            "stages": {"cross_entropy": STAGE},
        },
        "read": {
            "kind": "read",
            "data": {"root": str(root / "lines"), "hold_out": 0.2},
            "network": {"channels": 8, "features": 32, "hidden_size": 32},
            "stages": {"read": STAGE},
        },
        "search": {
            "kind": "search",
            "init": str(root / "runs" / "caption" / "model"),
            "data": {"root": str(root), "sets": {"squares": photos}},
            "network": {"hidden_size": 16, "size": 16, "background": 8},
            "stages": {"contrastive": {**STAGE, "batch_size": 16}},
        },
    }


def losses(folder: Path) -> dict[str, list[float]]:
    """The losses of a run by stage."""
    found: dict[str, list[float]] = {}
    path = folder / "metrics.jsonl"
    for line in map(json.loads, path.read_text().splitlines() if path.exists() else []):
        if "loss" in line:
            found.setdefault(line["stage"], []).append(line["loss"])
    return found


def check_models(folders: dict[str, Path], root: Path, device: torch.device) -> None:
    """Load what was trained and use it, through classes and through commands."""
    captioner = load(folders["caption"], str(device))
    assert captioner.device.type == device.type
    features = captioner.encode(np.zeros((2, 64, 64, 3), np.uint8)[:, :, ::-1])
    assert features.grid.device.type == device.type
    assert features.grid.dtype == torch.float32
    assert len(captioner.caption([root / "photos" / "0.png"])) == 1
    assert load(folders["classify"], str(device)).classify([root / "clips/red/0.avi"])[0].label in ("red", "blue")
    assert load(folders["video"], str(device)).caption([root / "clips/red/0.avi"])[0].text
    assert len(load(folders["translate"], str(device)).translate(["a red square"] * 70)) == 70
    assert len(load(folders["read"], str(device)).read([root / "lines/0.png"])) == 1
    some = [root / "photos" / f"{number}.png" for number in range(4)]
    assert len(load(folders["search"], str(device)).search("a red square", some)) == 4
    for name, options in {
        "caption": {
            "inputs": [str(root / "photos")],
            "model": str(folders["caption"]),
            "outputs": [str(root / "rows.jsonl")],
        },
        "classify": {
            "inputs": [str(root / "clips")],
            "model": str(folders["classify"]),
            "outputs": [str(root / "said.jsonl")],
        },
    }.items():
        assert applications.run_command(name, device=device.type, quiet=True, **options) == 0
    assert len((root / "rows.jsonl").read_text().splitlines()) >= 24


def check_precision(device: torch.device) -> None:
    """Losses and features in bfloat16 are those in float32, but for rounding."""
    torch.manual_seed(0)
    objective = CrossEntropy(
        CaptionDecoder(DecoderConfig(hidden_size=64, embedding_size=64, heads=4), 32, 500), None, 0.1
    )
    objective.eval().to(device)
    batch = Batch(torch.randint(4, 500, (16, 5, 12)), torch.randn(16, 49, 32)).to(device)
    states: list[torch.dtype] = []
    recurrent = objective.decoder.recurrent
    recurrent.register_forward_hook(lambda module, given, made: states.append(made[0].dtype))
    exact = objective(batch)[0].detach()
    with torch.autocast(device.type, torch.bfloat16):
        rounded = objective(batch)[0].detach()
    assert torch.float16 not in states, states
    assert abs(float(exact) - float(rounded)) < 0.01 * float(exact), (exact, rounded)
    encoder = Encoder("test_resnet", default_transform("test_resnet", 64))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    whole, half = (Engine(encoder, device, precision)(pixels).grid for precision in ("float32", "bfloat16"))
    assert torch.nn.functional.cosine_similarity(whole.flatten(1), half.flatten(1)).min() > 0.99


def measure(device: torch.device) -> None:
    """Print photos a second of CNNs, and words a second of a decoder in training, by batch size."""
    encoder = Encoder("mobilenetv2_100", default_transform("mobilenetv2_100"))
    for size in (64, 256):
        pixels = np.zeros((size, 224, 224, 3), np.uint8)
        for precision in ("float32", "bfloat16"):
            engine = Engine(encoder, device, precision)
            speed = size / _seconds(lambda engine=engine, pixels=pixels: engine(pixels))  # type: ignore[misc]
            print(f"mobilenetv2_100, {size} photos, {precision}: {speed:,.0f} photos a second")
    for size in (64, 256):
        objective = CrossEntropy(CaptionDecoder(DecoderConfig(), 1280, 5000), None, 0.1).train().to(device)
        batch = Batch(torch.randint(4, 5000, (size, 5, 14)), torch.randn(size, 49, 1280)).to(device)
        speed = size * 5 * 13 / _seconds(_steps(objective, batch, device))
        print(f"decoder, {size} photos a step, bfloat16: {speed:,.0f} words a second")
    encoder = Encoder("tf_efficientnet_lite2", default_transform("tf_efficientnet_lite2"))
    encoder.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    encoder.freeze(0.3)
    whole = CrossEntropy(CaptionDecoder(DecoderConfig(), 1280, 5000), encoder, 0.1, 0.5).train().to(device)
    photos = torch.randint(0, 256, (64, 260, 260, 3), dtype=torch.uint8, device=device)
    batch = Batch(torch.randint(4, 5000, (64, 5, 14), device=device), pixels=photos)
    speed = 64 / _seconds(_steps(whole, batch, device))
    print(f"fine-tuning tf_efficientnet_lite2, 64 photos a step, bfloat16: {speed:,.0f} photos a second")


def _steps(objective: CrossEntropy, batch: Batch, device: torch.device) -> Callable[[], None]:
    """A step of training in bfloat16, to be repeated."""
    optimizer = torch.optim.AdamW([value for value in objective.parameters() if value.requires_grad], fused=True)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss, _ = objective(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _seconds(work: Any, times: int = 20) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def main() -> None:
    """Run all of it; an assertion or a traceback is a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    device = torch.device(parser.parse_args().device)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "data"
        draw(root)
        (root / "val.json").write_text(
            json.dumps(
                {
                    "images": [
                        {
                            "filename": "99.png",
                            "split": "val",
                            "imgid": 99,
                            "sentences": [{"raw": "A red square on a grey ground."}],
                        }
                    ]
                }
            )
        )
        folders = {}
        for name, values in configurations(root).items():
            path = root / f"{name}.yaml"
            path.write_text(yaml.safe_dump({"seed": 1, "precision": "bfloat16", "checkpoint_steps": 2, **values}))
            folders[name] = train(path, [], root / "runs" / name, resume=False, device=device.type)
            print(f"{name}: {losses(root / 'runs' / name)}")
        exact = train(
            root / "caption.yaml",
            ["precision=float32", "runs=1"],
            root / "runs/exact",
            resume=False,
            device=device.type,
        )
        pairs = zip(losses(root / "runs/caption")["language"], losses(exact.parent)["language"], strict=True)
        assert all(abs(one - other) < 0.01 * other for one, other in pairs), "bfloat16 and float32 part"
        check_models(folders, root, device)
    check_precision(device)
    if device.type == "cuda":
        measure(device)
        print(f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MB at most")
    print(f"all right on {device} in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
