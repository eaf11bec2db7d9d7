"""A captioner with a CNN of timm's smallest kind and a decoder to match; it has learnt nothing."""

import pytest
import torch

from captioner.decoding.steps import DecodingConfig
from captioner.models.caption import CaptionConfig, Captioner
from captioner.models.caption_network import DecoderConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.vision.encoder import EncoderConfig
from captioner.vision.images import Transform

WORDS = ["a", "dog", "cat", "man", "runs", "sits", "on", "the", "grass", "'s", "hat", "and", "two", "men", "red", "big"]


def make_captioner(seed=0, **decoder):
    sizes = {"hidden_size": 16, "embedding_size": 12, "heads": 4, "dropout": 0.3}
    config = CaptionConfig(
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(64, 96))),
        decoder=DecoderConfig(**{**sizes, **decoder}),
        search=DecodingConfig(beam_size=4, max_length=8),
    )
    torch.manual_seed(seed)
    model = Captioner.build(config, Vocabulary([*SPECIALS, *WORDS]))
    with torch.no_grad():  # else an untrained network says the same of every picture
        model.decoder.embedding.weight *= 4
        model.decoder.bias.normal_()
    return model


@pytest.fixture(scope="session")
def build():
    return make_captioner


@pytest.fixture(scope="session")
def captioner():
    return make_captioner()
