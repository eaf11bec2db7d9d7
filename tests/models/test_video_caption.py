"""A video captioner looks at moments in order, and its folder gives back the same model."""

import cv2
import numpy as np
import pytest
import torch

from captioner.decoding.search import DecodingConfig
from captioner.models.base import load
from captioner.models.caption_network import DecoderConfig
from captioner.models.shared_encoder import FrameEncoder
from captioner.models.video_caption import TemporalConfig, VideoCaptionConfig, VideoCaptioner, VideoDecoder
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.vision.encoder import Encoder, EncoderConfig
from captioner.vision.images import Transform
from captioner.weights import named

WORDS = ["a", "dog", "cat", "runs", "sits", "grows"]
FRAMES = 4


def make(temporal: TemporalConfig, attention: bool = True) -> VideoCaptioner:
    transform = Transform(size=(64, 64))
    config = VideoCaptionConfig(
        frames=FRAMES,
        encoder=EncoderConfig(name="test_resnet", transform=transform),
        temporal=temporal,
        decoder=DecoderConfig(hidden_size=16, embedding_size=12, heads=4, attention=attention),
        search=DecodingConfig(beam_size=2, max_length=6),
    )
    torch.manual_seed(0)
    encoder = Encoder("test_resnet", transform)
    frames = FrameEncoder(config.encoder, torch.device("cpu"), named("", encoder.state_dict()))
    vocabulary = Vocabulary([*SPECIALS, *WORDS])
    network = VideoDecoder(config.temporal, config.decoder, encoder.channels, len(vocabulary))
    return VideoCaptioner(config, vocabulary, frames, network)


@pytest.fixture
def clip(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 20 * number, dtype=np.uint8))
    writer.release()
    return tmp_path / "a.avi"


def test_a_model_folder_gives_back_the_same_model(tmp_path, clip):
    model = make(TemporalConfig(hidden_size=8, bidirectional=True))
    for value in model.network.parameters():  # what float16 can hold
        value.data = value.data.half().float()
    model.save(tmp_path / "model", "# A model")
    again = load(tmp_path / "model", "cpu", kinds=("video",))
    assert isinstance(again, VideoCaptioner)
    assert again.caption(clip)[0].tokens == model.caption([clip])[0].tokens
    assert again.config == model.config


def test_states_depend_on_the_order_of_frames_unless_nothing_is_remembered():
    for unit, remembers in (("lstm", True), ("mlp", False)):
        model = make(TemporalConfig(unit=unit, hidden_size=8), attention=False)
        grids = torch.rand(1, FRAMES, 4, model.encoder.channels, generator=torch.Generator().manual_seed(1))
        forwards, backwards = model.of_clips(grids).pooled, model.of_clips(grids.flip(1)).pooled
        assert torch.allclose(forwards, backwards, atol=1e-6) != remembers


def test_each_frame_has_a_state_of_both_directions():
    model = make(TemporalConfig(hidden_size=8, bidirectional=True, layers=2))
    features = model.of_clips(torch.rand(3, FRAMES, 4, model.encoder.channels))
    assert features.grid.shape == (3, FRAMES, 16)
    assert len(model.generate(features)) == 3
