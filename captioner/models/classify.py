"""Clips into classes: a classifier's configuration, and the model that says what happens in a clip."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from captioner.models.base import read_config, read_weights, write_model
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork, pad, vote
from captioner.models.shared_encoder import FrameEncoder, SharedEncoder
from captioner.vision.clip_features import FrameSample, FramesConfig, encode, see
from captioner.vision.encoder import EncoderConfig
from captioner.vision.video import Frame, Video, clip_paths, instants, windows
from captioner.weights import check_fit, part_of


class ClassifyConfig(BaseModel):
    """What a classifier's `config.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["classify"] = "classify"
    purpose: str = "tells classes of clips apart"
    scores: dict[str, dict[str, float]] = {}
    labels: list[str] = Field(min_length=2)
    frames: FramesConfig = Field(default_factory=lambda: FramesConfig.model_validate({}))
    encoder: EncoderConfig | SharedEncoder
    network: ClassifierConfig = Field(default_factory=lambda: ClassifierConfig.model_validate({}))


@dataclass(frozen=True)
class Guess:
    """A class and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """What a model says of a clip, or of a part of it.

    Attributes:
        top: guesses, the surest first.
        start: of the part, in seconds.
        end: of the part, in seconds.
        times: (frames,) when the frames that were seen are shown, in seconds.
        states: (frames, width) the recurrent network's state (of the first member) at each of them.
        warning: what is wrong with the file although it could be read, or None.
    """

    top: tuple[Guess, ...]
    start: float
    end: float
    times: NDArray[np.float64]
    states: NDArray[np.float32]
    warning: str | None = None

    @property
    def label(self) -> str:
        """The surest class."""
        return self.top[0].label

    @property
    def score(self) -> float:
        """Its probability."""
        return self.top[0].score


class VideoClassifier:
    """A trained model that tells classes of clips apart.

    Args:
        config: as in `config.json`.
        encoder: the CNN.
        network: what reads its features.
        device: `cpu` or a CUDA device.
        name: for messages.
    """

    def __init__(
        self,
        config: ClassifyConfig,
        encoder: FrameEncoder,
        network: ClassifierNetwork,
        device: str | torch.device = "cpu",
        name: str = "",
    ) -> None:
        self.config = config
        self.encoder = encoder
        self.network = network.to(device).eval()
        self.name = name

    @property
    def device(self) -> torch.device:
        """Where the network is, which training moves."""
        return self.network.projection.mean.device

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu", name: str = "") -> "VideoClassifier":
        """Read a model folder.

        Raises:
            ModelError: a file is missing or damaged, or the files do not fit together.
        """
        config = read_config(folder, ClassifyConfig)
        path = folder / "model.safetensors"
        tensors = read_weights(folder)
        encoder = FrameEncoder(config.encoder, torch.device(device), part_of(tensors, "encoder."), name or folder)
        network = ClassifierNetwork(config.network, encoder.channels, len(config.labels))
        expected = {f"network.{key}": value for key, value in network.state_dict().items()}
        check_fit({key: value for key, value in tensors.items() if key.startswith("network.")}, expected, path)
        network.load_state_dict(part_of(tensors, "network."))
        return cls(config, encoder, network, device, name or folder.name)

    def save(self, folder: Path, card: str) -> None:
        """Write a model folder: configuration, weights as float16 and the model card (`README.md`)."""
        weights = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        if isinstance(self.config.encoder, EncoderConfig):
            weights |= {f"encoder.{key}": value for key, value in self.encoder.weights.items()}
        write_model(folder, self.config, weights, card)

    def classify(self, clips: Path | str | Sequence[Path | str], *, top_k: int | None = None) -> list[Classification]:
        """Classify clips.

        Args:
            clips: paths of video files, or one.
            top_k: how many guesses to give; all by default.

        Raises:
            VideoError: a clip cannot be read.
        """
        return [self._classify_one(path, top_k) for path in clip_paths(clips)]

    def classify_windows(self, clip: Path | str, every: float, *, top_k: int | None = None) -> Iterator[Classification]:
        """Say what happens in each `every` seconds of a clip of any length, one part after the other.

        Memory does not grow with the clip. A last part of less than half that length joins the one before.

        Raises:
            VideoError: the clip cannot be read.
        """
        with Video(clip) as video:
            for start, end in windows(video.duration, every):
                seen = self.see(video, start, end)
                yield self._classification(seen, start, end, video.warning, top_k)

    def see(self, video: Video, start: float, end: float, tap: Callable[[Frame], object] | None = None) -> FrameSample:
        """The frames of a part of a clip, as the CNN reads them; `tap` is shown every whole frame."""
        frames = video.frames(instants(start, end, count=self.config.frames.count))
        if tap is not None:
            frames = _tapped(frames, tap)
        return see(frames, self.config.frames, self.encoder.transform)

    def judge(self, seen: Sequence[FrameSample], top_k: int | None = None) -> list[tuple[Guess, ...]]:
        """Guesses for each part of a clip that has been read already, the surest first."""
        logits, _ = self.scores(encode([each.pixels for each in seen], self.encoder))
        return [self.guesses(row, top_k) for row in vote(logits)]

    def guesses(self, probabilities: Tensor, top_k: int | None = None) -> tuple[Guess, ...]:
        """The surest classes of one clip's probabilities (classes,)."""
        ranked = probabilities.sort(descending=True)
        pairs = zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True)
        return tuple(Guess(self.config.labels[place], score) for place, score in pairs)[:top_k]

    @torch.inference_mode()
    def scores(self, clips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (members, clips, classes) and states (members, clips, frames, width) of encoded clips.

        Args:
            clips: features (frames, streams, channels) each, as `captioner.vision.clip_features.encode` gives them.
        """
        features, lengths = pad([clip.to(self.device, torch.float32) for clip in clips])
        return self.network(self.network.project(features), lengths)

    def _classify_one(self, path: Path | str, top_k: int | None) -> Classification:
        with Video(path) as video:
            seen = self.see(video, 0.0, video.duration)
            return self._classification(seen, 0.0, video.duration, video.warning, top_k)

    def _classification(
        self, seen: FrameSample, start: float, end: float, warning: str | None, top_k: int | None
    ) -> Classification:
        logits, states = self.scores(encode([seen.pixels], self.encoder))
        guesses = self.guesses(vote(logits)[0], top_k)
        return Classification(guesses, start, end, seen.times, states[0, 0].float().cpu().numpy(), warning)


def _tapped(frames: Iterator[Frame], tap: Callable[[Frame], object]) -> Iterator[Frame]:
    for frame in frames:
        tap(frame)
        yield frame
