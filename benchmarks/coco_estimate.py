"""What a training by configs/coco.yaml would cost, estimated from one thread's CPU time on random data.

    python benchmarks/coco_estimate.py

It measures each part of the training for a few photos and multiplies by COCO's size; it trains nothing.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from captioner.models.caption_network import CaptionDecoder
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.batches import Batch
from captioner.training.caption.objective import CrossEntropy, SelfCritical
from captioner.training.config import load_config
from captioner.vision.encoder import Encoder, default_transform

ALL, TRAINING = 123_287, 113_287  # photos in Karpathy's splits
WORDS = 9_500  # that occur at least five times in the training captions
LENGTHS = (9, 10, 10, 11, 12)
PHOTOS = 8


def core_seconds(work: Callable[[], object]) -> float:
    """CPU time a photo, which other programs disturb less than the clock; the better of two, after a first."""
    work()
    times = []
    for _ in range(2):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times) / PHOTOS


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = load_config(Path(__file__).parents[1] / "configs" / "coco.yaml")
    stages = config.stages
    assert stages.cross_entropy
    assert stages.fine_tune
    assert stages.self_critical
    encoder = Encoder(config.encoder.name, default_transform(config.encoder.name))
    encoder.freeze(stages.fine_tune.frozen)
    rows, columns = encoder.grid_shape()
    pixels = torch.randint(0, 256, (PHOTOS, *encoder.transform.size, 3), dtype=torch.uint8)
    words = [f"w{number}" for number in range(WORDS)]
    vocabulary = Vocabulary([*SPECIALS, *words])
    decoder = CaptionDecoder(config.decoder, encoder.channels, len(vocabulary))
    tokens = torch.zeros(PHOTOS, len(LENGTHS), max(LENGTHS) + 2, dtype=torch.long)
    for column, length in enumerate(LENGTHS):
        tokens[:, column, 0] = vocabulary.start
        tokens[:, column, 1 : length + 1] = torch.randint(len(SPECIALS), len(vocabulary), (PHOTOS, length))
        tokens[:, column, length + 1] = vocabulary.end
    names = tuple(map(str, range(PHOTOS)))
    batch = Batch(tokens, torch.randn(PHOTOS, rows * columns, encoder.channels), names=names)
    cross_entropy = CrossEntropy(decoder, None, 0.1)
    decode = core_seconds(lambda: cross_entropy(batch)[0].backward())
    encode = core_seconds(torch.no_grad()(lambda: encoder(pixels)))
    both = core_seconds(lambda: encoder(pixels).mean().backward())
    references = {name: [words[:length] for length in LENGTHS] for name in names}
    sampling = SelfCritical(decoder, vocabulary, references, stages.self_critical.samples, max(LENGTHS))
    reward = core_seconds(lambda: sampling(batch)[0].backward())
    parts = [
        ("features, before and after fine-tuning", encode, 2, ALL),
        (f"cross-entropy, {stages.cross_entropy.epochs} epochs", decode, stages.cross_entropy.epochs, TRAINING),
        (f"fine-tuning, {stages.fine_tune.epochs} epochs", both + decode, stages.fine_tune.epochs, TRAINING),
        (f"self-critical, {stages.self_critical.epochs} epochs", reward, stages.self_critical.epochs, TRAINING),
    ]
    print("| part | core seconds a photo | photos | core hours |\n| --- | --- | --- | --- |")
    hours = 0.0
    for part, seconds, times, photos in parts:
        hours += seconds * times * photos / 3600
        print(f"| {part} | {seconds:.3f} | {times} x {photos:,} | {seconds * times * photos / 3600:.0f} |")
    print(f"\ntogether {hours:.0f} core hours, float32")


if __name__ == "__main__":
    main()
