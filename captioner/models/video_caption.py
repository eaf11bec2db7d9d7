"""Clip captions by a network trained on clips: frames, states over time, words.

Each frame's features are the mean over the CNN's grid. A recurrent network reads them in order, and the decoder looks
at its states: with attention each word chooses the moments it is about (Yao et al., 2015, "Describing Videos by
Exploiting Temporal Structure"); without, their mean is all that it sees, the baseline of Venugopalan et al. (2015,
"Translating Videos to Natural Language").
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from captioner.decoding.search import DecodingConfig
from captioner.models.base import read_config, read_weights, write_model
from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.models.caption_writer import Caption, CaptionWriter
from captioner.models.language import LanguageModel
from captioner.models.shared_encoder import FrameEncoder, SharedEncoder
from captioner.recurrent.units import LockedDropout, Recurrent, Unit
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import EncoderConfig, Features, Precision
from captioner.vision.images import Pixels
from captioner.vision.video import clip_paths, sample_frames
from captioner.weights import Weights, check_fit, named, part_of


class TemporalConfig(BaseModel):
    """The network that reads frames in order; `unit: mlp` reads each by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Unit = "lstm"
    layers: int = Field(1, ge=1)
    hidden_size: int = Field(512, ge=1)
    bidirectional: bool = False
    dropout: float = Field(0.5, ge=0, lt=1)


class VideoCaptionConfig(BaseModel):
    """What a video captioner's `config.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["video"] = "video"
    purpose: str = "captions clips"
    scores: dict[str, dict[str, float]] = {}
    frames: int = Field(16, ge=1)
    encoder: EncoderConfig | SharedEncoder
    temporal: TemporalConfig = Field(default_factory=lambda: TemporalConfig.model_validate({}))
    decoder: DecoderConfig
    search: DecodingConfig = DecodingConfig()
    search_precision: Precision = "float32"


class VideoDecoder(nn.Module):
    """Words from the features of frames.

    Args:
        temporal: the network that reads frames.
        decoder: the network that writes.
        channels: width of a frame's features.
        vocabulary_size: number of tokens, specials included.
    """

    def __init__(self, temporal: TemporalConfig, decoder: DecoderConfig, channels: int, vocabulary_size: int) -> None:
        super().__init__()
        self.dropout = LockedDropout(temporal.dropout)
        self.temporal = Recurrent(
            temporal.unit,
            channels,
            temporal.hidden_size,
            temporal.layers,
            temporal.dropout,
            bidirectional=temporal.bidirectional,
        )
        self.decoder = CaptionDecoder(decoder, temporal.hidden_size * self.temporal.directions, vocabulary_size)

    def states(self, frames: Tensor) -> Features:
        """What the decoder looks at: states (clips, frames, width) of features (clips, frames, channels)."""
        states, _ = self.temporal(self.dropout(frames))
        return Features.of(states)

    def forward(self, features: Features | None, tokens: Tensor) -> Tensor:
        """As `CaptionDecoder.forward`, of features whose grid is (clips, frames, channels)."""
        return self.decoder(None if features is None else self.states(features.grid), tokens)

    @property
    def output(self) -> tuple[Tensor, Tensor]:
        """As `CaptionDecoder.output`."""
        return self.decoder.output


class VideoCaptioner:
    """A trained model that captions clips.

    Args:
        config: as in `config.json`.
        vocabulary: the words it knows.
        encoder: the CNN.
        network: what reads its features and writes.
        device: `cpu` or a CUDA device.
        name: for messages.
    """

    def __init__(
        self,
        config: VideoCaptionConfig,
        vocabulary: Vocabulary,
        encoder: FrameEncoder,
        network: VideoDecoder,
        device: str | torch.device = "cpu",
        name: str = "",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.encoder = encoder
        self.network = network.to(device).eval()
        self.name = name
        self.transform = encoder.transform
        self._writer = CaptionWriter(network.decoder, vocabulary, config.search_precision)

    @property
    def device(self) -> torch.device:
        """Where the network is, which training moves."""
        return self.network.decoder.bias.device

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu", name: str = "") -> "VideoCaptioner":
        """Read a model folder.

        Raises:
            ModelError: a file is missing or damaged, or the files do not fit together.
        """
        config = read_config(folder, VideoCaptionConfig)
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        path = folder / "model.safetensors"
        tensors = read_weights(folder)
        encoder = FrameEncoder(config.encoder, torch.device(device), part_of(tensors, "encoder."), name or folder)
        network = VideoDecoder(config.temporal, config.decoder, encoder.channels, len(vocabulary))
        expected = {f"network.{key}": value for key, value in network.state_dict().items()}
        check_fit({key: value for key, value in tensors.items() if key.startswith("network.")}, expected, path)
        network.load_state_dict(part_of(tensors, "network."))
        return cls(config, vocabulary, encoder, network, device, name or folder.name)

    def save(self, folder: Path, card: str) -> None:
        """Write a model folder: configuration, weights as float16, vocabulary and the model card (`README.md`)."""
        write_model(folder, self.config, self.weights(), card)
        self.vocabulary.save(folder / "vocabulary.json")

    def weights(self) -> Weights:
        """All tensors, under the names they have in `model.safetensors`; those of a shared CNN are not the model's."""
        weights = named("network.", self.network.state_dict())
        own = isinstance(self.config.encoder, EncoderConfig)
        return weights | named("encoder.", self.encoder.weights) if own else weights

    def caption(
        self, clips: Path | str | Sequence[Path | str], *, beam_size: int | None = None, max_length: int | None = None
    ) -> list[Caption]:
        """Caption clips.

        Args:
            clips: paths of video files, or one.
            beam_size: hypotheses kept after each word; the model's own choice by default.
            max_length: most words of a caption; the model's own choice by default.

        Raises:
            VideoError: a clip cannot be read.
        """
        options = self.config.search.but(beam_size=beam_size, max_length=max_length)
        captions = []
        for path in clip_paths(clips):
            frames = sample_frames(path, count=self.config.frames, transform=self.transform).frames
            captions.append(self.generate(self.of_clips(self.encode(frames).grid[None]), options)[0][0])
        return captions

    def encode(self, pixels: Pixels, *, parallel: bool = True) -> Features:
        """Features of transformed frames, uint8 RGB (frames, height, width, 3)."""
        return self.encoder(pixels, parallel=parallel)

    @torch.inference_mode()
    def of_clips(self, grids: Tensor) -> Features:
        """What the decoder looks at in clips: a state for each frame.

        Args:
            grids: (clips, frames, regions, channels); a photo is a clip of one frame.
        """
        return self.network.states(grids.to(self.device).mean(dim=2))

    def fuse(self, language: LanguageModel, weight: float) -> None:
        """Fuse with a language model, which then scores every word; see `Captioner.fuse`."""
        self._writer = self._writer.fused(language, weight)

    def fused(self, language: LanguageModel, weight: float) -> "VideoCaptioner":
        """A captioner with the same weights that is fused; see `Captioner.fused`."""
        other = copy.copy(self)
        other._writer = self._writer.fused(language, weight)
        return other

    def generate(self, features: Features, options: DecodingConfig | None = None) -> list[list[Caption]]:
        """Write captions.

        Args:
            features: of clips, as `of_clips` gives them.
            options: how to search; the model's own choice by default.

        Returns:
            for each clip its captions, best first.
        """
        return self._writer.write(features, options or self.config.search)
