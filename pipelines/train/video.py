"""`captioner train` of a captioner of clips: features of frames once, then cross-entropy on them."""

import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from captioner.data.captions import CaptionedImage, CaptionSet
from captioner.data.copies import digest_of_file, find_copies
from captioner.data.names import first_few
from captioner.data.video_captions import read_video_captions
from captioner.errors import ConfigError, DataError
from captioner.models.shared_encoder import FrameEncoder, SharedEncoder
from captioner.models.video_caption import VideoCaptionConfig, VideoCaptioner, VideoDecoder
from captioner.text.vocabulary import Vocabulary
from captioner.training import processes
from captioner.training.batches import PhotoItems, make_loader
from captioner.training.caption.config import CrossEntropyStage
from captioner.training.caption.objective import CrossEntropy
from captioner.training.caption.validation import caption_scores
from captioner.training.card import ModelCard
from captioner.training.config import Stage
from captioner.training.encoder import frame_encoder
from captioner.training.loop import Scores
from captioner.training.record import counting, say
from captioner.training.tokens import check_scripts
from captioner.training.training import Training, Work
from captioner.training.video.card import video_card
from captioner.training.video.config import VideoTrainingConfig
from captioner.training.video.start import begin_with, encoder_of, known_captioner
from captioner.vision.checksums import fingerprint
from captioner.vision.clip_cache import ClipCache
from captioner.vision.clip_features import FramesConfig
from captioner.vision.encoder import Features


class VideoTraining(Training[VideoTrainingConfig, VideoCaptioner]):
    """Training of a captioner of clips; see `Training` for the arguments.

    Raises:
        CaptionerError: the clips, their captions or the CNN cannot be used.
    """

    def __init__(self, config: VideoTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> None:
        super().__init__(config, folder, command, device=device, resume=resume)
        data = config.data
        self.clips = data.root / data.clips
        self.known = None if config.init is None else known_captioner(config.init)
        self.tokenization = data.tokenization(self.known.vocabulary.tokenization if self.known else None)
        captions = read_video_captions(
            data.root / data.captions,
            self.clips,
            allow_missing=data.allow_missing,
            tokenization=self.tokenization,
        )
        check_scripts(self.tokenization, (text for clip in captions for text in clip.captions), captions.source)
        parted = any(clip.split == "val" for clip in captions)
        captions = captions.hold_out(data.hold_out) if data.hold_out and not parted else captions
        self.captions = self._without_copies(captions)
        torch.manual_seed(config.seed)  # so that a CNN without weights is the same one in every process
        self.encoder, shared = self._find_encoder(processes.join(device))
        self.model_config = self._model_config(shared)
        self.cache = self._read_features()
        self.validation = [clip for clip in self.captions if clip.split == "val"]
        if not self.validation:
            raise ConfigError("data.captions: no clip in a val split; set data.hold_out to keep some training clips.")
        self.train_clips = self.captions.split("train")

    def material(self) -> Iterable[object]:
        """The clips with their captions."""
        return self.captions.material()

    def pictures(self) -> Iterable[object]:
        """Fingerprints of the clips."""
        return [fingerprint(self.clips / clip.file_name) for clip in self.captions]

    def new_model(self) -> VideoCaptioner:
        """A captioner that knows what `init` does, or one of which the CNN alone has learnt something."""
        config, min_count = self.model_config, self.config.data.min_count
        words = [list(tokens) for clip in self.train_clips for tokens in clip.tokens]
        torch.manual_seed(self.config.seed)
        if self.known is not None:
            model = begin_with(self.known, config, self.encoder, words, min_count, self.tokenization)
            model.network.to(self.device)
            return model
        vocabulary = Vocabulary.build(words, min_count, tokenization=self.tokenization)
        network = VideoDecoder(config.temporal, config.decoder, self.encoder.channels, len(vocabulary))
        return VideoCaptioner(config, vocabulary, self.encoder, network, self.device)

    def prepare(self, stage: Stage, seed: int) -> Work:
        """Cross-entropy on cached features."""
        assert isinstance(stage, CrossEntropyStage)
        network, longest = self.model.network, self.config.data.max_caption_length
        items = PhotoItems(
            self.train_clips, self.model.vocabulary, stage.captions_per_photo, longest, self._fetch, seed
        )
        groups = [{"params": list(network.parameters()), "lr": 1.0}]
        loader = make_loader(items, stage.batch_size, seed)
        return Work(CrossEntropy(network, None, stage.label_smoothing), groups, loader, self.validate)

    def validate(self) -> tuple[float, Scores]:
        """CIDEr-D and BLEU-4 of the validation clips' captions."""
        return caption_scores(self.model, {"clips": self.validation}, self._states)

    def card(self, origin: str, scores: Scores) -> ModelCard:
        """The model card."""
        notes, begun_with, clips = self.config.notes, self.config.init, (len(self.train_clips), len(self.validation))
        return video_card(self.model_config, notes, begun_with, self.command, origin, scores, *clips)

    def _without_copies(self, captions: CaptionSet) -> CaptionSet:
        """Those to learn from that are copies of held-out clips are left out; how many is said."""
        files = [clip for clip in captions if (self.clips / clip.file_name).is_file()]
        copies = find_copies(
            (clip.file_name for clip in files if clip.split == "train"),
            (clip.file_name for clip in files if clip.split != "train"),
            lambda name: (self.clips / name).stat().st_size,
            lambda name: digest_of_file(self.clips / name),
        )
        if copies:
            say(f"{len(copies)} clips to learn from ({first_few(copies)}) are copies of held-out ones; left out.")
        return captions.without(set(copies))

    def _find_encoder(self, device: torch.device) -> tuple[FrameEncoder, str | None]:
        """The CNN, and the model in the package that it is shared with, if it is."""
        choice = self.config.encoder
        if self.known is not None:
            return encoder_of(self.known, device)
        assert choice is not None
        return frame_encoder(choice, self.config.data.root, device), choice.model

    def _model_config(self, shared: str | None) -> VideoCaptionConfig:
        """What the configuration says, and `init` where it says nothing.

        Raises:
            ConfigError: both bring a network over time along.
        """
        config, names = self.config, ("purpose", "frames", "temporal", "decoder", "search", "search_precision")
        values = {name: getattr(config, name) for name in names}
        if self.known is not None:
            said = config.model_fields_set | {"purpose"}
            if isinstance(self.known, VideoCaptioner) and "temporal" in said:
                raise ConfigError(f"temporal: {config.init} brings its network over time along; leave temporal out.")
            of_known = dict(self.known.config)
            values |= {name: of_known[name] for name in names if name in of_known and name not in said}
        digest = self.encoder.digest
        encoder = self.encoder.config if shared is None else SharedEncoder(model=shared, digest=digest)
        return VideoCaptionConfig(encoder=encoder, **values)

    def _read_features(self) -> ClipCache:
        frames = FramesConfig.model_validate({"count": self.model_config.frames})
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

    def _frames(self, name: str, version: int = 0) -> Tensor:
        """Features (frames, channels) of a clip; one with fewer frames shows some for more than one instant."""
        features = self.cache.read(self.clips / name)[version][:, 0]
        count = self.model_config.frames
        return features[torch.arange(count) * len(features) // count]

    def _fetch(self, clips: list[CaptionedImage], draws: list[random.Random]) -> dict[str, Tensor]:
        """Features of a batch, of a version of each clip that is drawn at random."""
        versions = 2 * self.config.data.views
        pairs = zip(clips, draws, strict=True)
        return {"grid": torch.stack([self._frames(clip.file_name, draw.randrange(versions)) for clip, draw in pairs])}

    @torch.inference_mode()
    def _states(self, names: Sequence[str]) -> Features:
        frames = torch.stack([self._frames(name) for name in names])
        return self.model.of_clips(frames[:, :, None])
