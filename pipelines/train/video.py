"""`captioner train` of a captioner of clips: features of frames once, then cross-entropy on them."""

import os
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from captioner.data.captions import CaptionedImage, CaptionSet
from captioner.data.video_captions import read_video_captions
from captioner.errors import ConfigError, DataError
from captioner.models.shared_encoder import SharedEncoder
from captioner.models.video_caption import VideoCaptionConfig, VideoCaptioner, VideoDecoder
from captioner.pipelines.train.classify import make_encoder
from captioner.text.vocabulary import Vocabulary
from captioner.training import processes
from captioner.training.batches import PhotoItems, make_loader
from captioner.training.caption.objective import CrossEntropy
from captioner.training.caption.validation import caption_scores
from captioner.training.loop import Run, Scores
from captioner.training.record import counting
from captioner.training.video.card import write_card
from captioner.training.video.config import VideoTrainingConfig
from captioner.vision.clip_cache import ClipCache
from captioner.vision.clip_features import FramesConfig
from captioner.vision.encoder import Features


def train(config: VideoTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> Path:
    """Train a captioner of clips; see `VideoTraining`. Returns the folder of the finished model."""
    return VideoTraining(config, folder, command, processes.join(device), resume).run_all()


class VideoTraining:
    """One training of a captioner of clips.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: `cpu` or a CUDA device.
        resume: continue from the last checkpoint.

    Raises:
        CaptionerError: the clips, their captions or the CNN cannot be used.
    """

    def __init__(
        self, config: VideoTrainingConfig, folder: Path, command: str, device: torch.device, resume: bool
    ) -> None:
        self.config, self.folder, self.command, self.device = config, folder, command, device
        data = config.data
        self.clips = data.root / data.clips
        captions = read_video_captions(data.root / data.captions, self.clips, allow_missing=data.allow_missing)
        parted = any(clip.split == "val" for clip in captions)
        self.captions = captions.hold_out(data.hold_out) if data.hold_out and not parted else captions
        self.encoder = make_encoder(config.encoder, data.root, device)
        self.cache = self._read_features()
        self.validation = [clip for clip in self.captions if clip.split == "val"]
        if not self.validation:
            raise ConfigError("data.captions: no clip in a val split; set data.hold_out to keep some training clips.")
        self.train_clips = self.captions.split("train")
        self.run = Run(
            folder,
            seed=config.seed,
            precision=config.precision,
            checkpoint_steps=config.checkpoint_steps,
            device=str(device) if processes.count() == 1 else device.type,
            resume=resume,
        )
        self.model = self._new_model()

    def run_all(self) -> Path:
        """Train what is left to train, and write the finished model."""
        stage = self.config.stages.cross_entropy
        network = self.model.network
        items = PhotoItems(
            self.train_clips,
            self.model.vocabulary,
            stage.captions_per_photo,
            self.config.data.max_caption_length,
            self._fetch,
            self.config.seed,
        )
        loader = make_loader(items, stage.batch_size, self.config.seed)
        groups = [{"params": list(network.parameters()), "lr": 1.0}]
        objective = CrossEntropy(network, None, stage.label_smoothing)
        validate = partial(caption_scores, self.model, {"clips": self.validation}, self._states)
        self.run.train("cross_entropy", 0, stage, objective, groups, loader, validate, self._keep)
        return self.folder / "model"

    def _read_features(self) -> ClipCache:
        frames = FramesConfig.model_validate({"count": self.config.frames})
        root = self.config.data.cache or self.folder / "features"
        cache = ClipCache(root, self.encoder.digest, frames, self.config.data.views)
        with counting("Reading clips") as progress:
            unreadable = cache.fill(
                [self.clips / clip.file_name for clip in self.captions],
                self.encoder,
                self.encoder.transform,
                workers=min(8, os.cpu_count() or 1),
                share=(processes.place(), processes.count()),
                progress=progress,
            )
            unreadable = processes.joined(unreadable)
        if unreadable and not self.config.data.allow_missing:
            reason = next(iter(unreadable.values()))
            raise DataError(
                f"{reason} ({len(unreadable)} such clips); replace them, or set data.allow_missing=true to train "
                "without them."
            )
        kept = [clip for clip in self.captions if self.clips / clip.file_name not in unreadable]
        self.captions = CaptionSet(kept, self.captions.source)
        return cache

    def _new_model(self) -> VideoCaptioner:
        chosen, shared = self.encoder.config, self.config.encoder.model
        config = VideoCaptionConfig(
            purpose=self.config.purpose,
            frames=self.config.frames,
            encoder=chosen if shared is None else SharedEncoder(model=shared, digest=self.encoder.digest),
            temporal=self.config.temporal,
            decoder=self.config.decoder,
            search=self.config.search,
            search_precision=self.config.search_precision,
        )
        words = [list(tokens) for clip in self.train_clips for tokens in clip.tokens]
        vocabulary = Vocabulary.build(words, self.config.data.min_count)
        torch.manual_seed(self.config.seed)
        network = VideoDecoder(config.temporal, config.decoder, self.encoder.channels, len(vocabulary))
        return VideoCaptioner(config, vocabulary, self.encoder, network, self.run.accelerator.device)

    def _frames(self, name: str, version: int = 0) -> Tensor:
        """Features (frames, channels) of a clip; one with fewer frames shows some for more than one instant."""
        features = self.cache.read(self.clips / name)[version][:, 0]
        return features[torch.arange(self.config.frames) * len(features) // self.config.frames]

    def _fetch(self, clips: list[CaptionedImage], draws: list[random.Random]) -> dict[str, Tensor]:
        """Features of a batch, of a version of each clip that is drawn at random."""
        versions = 2 * self.config.data.views
        pairs = zip(clips, draws, strict=True)
        return {"grid": torch.stack([self._frames(clip.file_name, draw.randrange(versions)) for clip, draw in pairs])}

    @torch.inference_mode()
    def _states(self, names: Sequence[str]) -> Features:
        frames = torch.stack([self._frames(name) for name in names])
        return self.model.of_clips(frames[:, :, None])

    def _keep(self, score: float, scores: Scores) -> None:
        """Write the model as it is now, with its scores."""
        model = self.model
        model.config = model.config.model_copy(update={"scores": {f"{k} val": v for k, v in scores.items()}})
        card = write_card(self.config, self.command, scores, len(self.train_clips), len(self.validation))
        model.save(self.folder / "model", card)
