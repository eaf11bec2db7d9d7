"""Fine-tuning's second aim tells photos apart by their captions."""

import json
import math

import pytest
import torch

from captioner.errors import ConfigError
from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.pipelines.train.command import train
from captioner.training.caption.matching import Matching

WORDS, CHANNELS, START, END = 12, 8, 1, 2


def networks():
    torch.manual_seed(0)
    sizes = DecoderConfig(hidden_size=16, embedding_size=16, heads=2)
    return Matching(16, CHANNELS), CaptionDecoder(sizes, CHANNELS, WORDS)


def batch(photos):
    """Photos of one channel each, and two captions that name it."""
    tokens = torch.tensor([[[START, 4 + n, END], [START, 4 + n, END]] for n in range(photos)])
    return torch.eye(CHANNELS)[:photos] * 3, tokens


def test_it_learns_which_caption_belongs_to_which_photo():
    matching, decoder = networks()
    pooled, tokens = batch(8)
    optimizer = torch.optim.Adam(matching.parameters(), 0.01)
    first = matching(decoder, pooled, tokens).item()
    for _ in range(40):
        loss = matching(decoder, pooled, tokens)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    matching.eval()
    assert first > 0.8 * math.log(8)
    assert matching(decoder, pooled, tokens).item() < 0.1
    assert matching(decoder, pooled, tokens.roll(1, 0)).item() > 2 * math.log(8)


def test_one_photo_alone_has_nothing_to_be_told_from():
    matching, decoder = networks()
    assert matching(decoder, *batch(1)).item() == 0


def test_padding_changes_nothing():
    matching, decoder = networks()
    matching.eval()
    pooled, tokens = batch(4)
    padded = torch.cat([tokens, torch.zeros_like(tokens)], -1)
    expected = matching(decoder, pooled, tokens).item()
    assert matching(decoder, pooled, padded).item() == pytest.approx(expected, abs=1e-5)


def test_fine_tuning_records_it_and_keeps_no_part_of_it(write_config, tmp_path):
    stages = {"fine_tune": {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "matching": 0.5}}
    model = train(write_config(stages=stages), [], tmp_path / "run", resume=False, device="cpu")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    values = [line["matching"] for line in lines if "loss" in line]
    assert len(values) > 4
    assert all(math.isfinite(value) for value in values)
    assert not any("matching" in name for name in (model / "config.json").read_text().split('"'))
    stages["fine_tune"]["matching"] = -1
    with pytest.raises(ConfigError, match="matching"):
        train(write_config(stages=stages), [], tmp_path / "other", resume=False, device="cpu")
