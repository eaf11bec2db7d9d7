"""`captioner train` of a photo captioner: from captioned photos to a model folder, stage by stage."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from captioner.data.caption_forms import find_captions
from captioner.data.captions import CaptionSet, ImageStore
from captioner.data.corpora import held_out_photos, photo_id, read_caption_text
from captioner.errors import ConfigError, DataError
from captioner.models.caption import CaptionConfig, Captioner, EncoderConfig
from captioner.text.ptb import tokenize
from captioner.text.vocabulary import Vocabulary
from captioner.training import processes
from captioner.training.batches import Augmented, PhotoItems, TextItems, cached, make_loader
from captioner.training.caption.card import write_card
from captioner.training.caption.config import (
    CaptionTrainingConfig,
    CrossEntropyStage,
    FineTuneStage,
    LanguageStage,
    SelfCriticalStage,
)
from captioner.training.caption.content import CrossEntropyOfText, regress_content
from captioner.training.caption.objective import CrossEntropy, SelfCritical
from captioner.training.caption.plan import plan
from captioner.training.caption.start import begin_with
from captioner.training.caption.validation import caption_scores, language_scores
from captioner.training.config import Stage
from captioner.training.loop import Run, Scores
from captioner.training.record import counting, say
from captioner.vision.cache import FeatureCache, digest_of_weights, find_unreadable
from captioner.vision.encoder import Engine, Features, default_transform, load_encoder_weights
from captioner.vision.images import decode_image


def train(config: CaptionTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> Path:
    """Train a photo captioner; see `CaptionTraining`. Returns the folder of the finished model."""
    return CaptionTraining(config, folder, command, device, resume).run_all()


class CaptionTraining:
    """One training of a photo captioner: its data, its model as it stands, and its stages.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: as `processes.join` takes it.
        resume: continue from the last checkpoint.
    """

    def __init__(self, config: CaptionTrainingConfig, folder: Path, command: str, device: str, resume: bool) -> None:
        self.config = config
        self.folder = folder
        self.command = command
        self.root = config.data.root
        files = config.data.sets
        self.photos = ImageStore([self.root / path for file in files.values() for path in file.photos])
        self.held_out: set[str] = set()  # photos, also those that are not there
        self.sets = {name: self._read_set(name) for name in files}
        everything = CaptionSet.join(list(self.sets.values()))
        self.train_images = everything.split("train")
        self.validation = {
            name: part
            for name, each in self.sets.items()
            if (part := [image for image in each if image.split == "val"])
        }
        if not self.validation:
            raise ConfigError("data.sets: no photo in a val split; set hold_out to keep some of the photos.")
        self.text = self._read_text()
        self.run = Run(
            folder,
            seed=config.seed,
            precision=config.precision,
            checkpoint_steps=config.checkpoint_steps,
            device=device,
            resume=resume,
        )
        self.unreadable: set[str] | None = None  # photos, once they have been tried
        self.model: Captioner

    def run_all(self) -> Path:
        """Run the stages that are left, and write the finished model."""
        steps, ends = plan(self.config)
        for number, step in enumerate(steps):
            if self.run.progress.stages_done <= number:
                # from disk, so that a resumed run begins with the same
                self.model = self._new_model() if step.start is None else self._read(step.start)
                if (
                    self.config.init is None
                    and step.start in (None, "language")
                    and not isinstance(step.stage, LanguageStage)
                ):
                    self._begin_with_photos()
                self._run_stage(step.name, number, step.stage)
        final = self.folder / "model"
        if self.run.accelerator.is_main_process:
            if len(ends) > 1:
                self._average(ends)
            else:
                self._read(ends[0]).save(final, (self.folder / ends[0] / "README.md").read_text(encoding="utf-8"))
        return final

    def _read(self, stage: str) -> Captioner:
        """The model that a stage kept."""
        return Captioner.load(self.folder / stage, self.run.accelerator.device)

    def _average(self, stages: Sequence[str]) -> None:
        """Write the mean of the models that some stages kept, with its scores."""
        weights = [self._read(stage).weights() for stage in stages]
        self.model = self._read(stages[0])
        with torch.no_grad():
            for key, value in self.model.weights().items():
                value.copy_(torch.stack([each[key].float() for each in weights]).mean(0))
        _, scores = self._validate_afresh()
        shown = ", ".join(f"{part} CIDEr {each['CIDEr']:.4f}" for part, each in scores.items())
        say(f"mean of {' and '.join(stages)}: {shown}")
        self._write("model", f"the mean of {' and '.join(stages)}", scores)

    def _begin_with_photos(self) -> None:
        """Teach a decoder that has seen no photo what their content vectors are."""
        if self.config.decoder.content_vector:
            cache = self._fill_cache()
            pooled = torch.cat([cache.read([image.file_name]).pooled for image in self.train_images])
            regress_content(self.model.decoder, pooled, self.train_images, self.model.vocabulary)

    def _run_stage(self, name: str, number: int, stage: Stage) -> None:
        objective, loader, validate = self._prepare(stage, self.config.seed + number)
        # inputs of `content` are means of rectified features, all positive: its steps add up over a thousand channels
        rates: dict[float, list[nn.Parameter]] = {1.0: [], 0.1: []}
        for key, value in self.model.decoder.named_parameters():
            rates[0.1 if key.startswith("content.") else 1.0].append(value)
        groups = [{"params": values, "lr": rate} for rate, values in rates.items() if values]
        if isinstance(stage, FineTuneStage):
            trained = [value for value in self.model.encoder.parameters() if value.requires_grad]
            groups.append({"params": trained, "lr": stage.encoder_rate})
        keep = partial(self._keep, name)
        without_photos = isinstance(stage, LanguageStage)  # the layers that read photos have nothing to do
        self.run.train(name, number, stage, objective, groups, loader, validate, keep, partial=without_photos)

    def _prepare(
        self, stage: Stage, seed: int
    ) -> tuple[nn.Module, DataLoader[Any], Callable[[], tuple[float, Scores]]]:
        """What a stage minimises, on which batches, and how it is validated."""
        decoder, vocabulary, longest = self.model.decoder, self.model.vocabulary, self.config.data.max_caption_length
        make = partial(make_loader, batch_size=stage.batch_size, seed=seed)
        if isinstance(stage, LanguageStage):
            loader = make(TextItems(self.text, vocabulary, longest))
            text = CrossEntropyOfText(decoder, vocabulary, stage.label_smoothing)
            exact = CrossEntropyOfText(decoder, vocabulary, 0.0).to(self.run.accelerator.device)
            return text, loader, partial(language_scores, exact, vocabulary, self.validation, longest)
        cache = None
        if not isinstance(stage, FineTuneStage):
            cache = self._fill_cache()
        elif self.unreadable is None:
            self._leave_out(find_unreadable(self.photos, self._names()))
        photos = partial(PhotoItems, self.train_images, vocabulary, max_length=longest, seed=seed)
        if isinstance(stage, FineTuneStage):
            if stage.size is not None:
                self.model.resize(stage.size)
            encoder = self.model.encoder
            encoder.to(self.run.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            encoder.freeze(stage.frozen, depthwise=not stage.depthwise)
            fetch = Augmented(self.photos, encoder.transform.size, stage.smallest_crop, stage.jitter)
            loader = make(photos(stage.captions_per_photo, fetch=fetch), workers=self.config.workers)
            validate = partial(self._validate_afresh)
            return CrossEntropy(decoder, encoder, stage.label_smoothing), loader, validate
        assert cache is not None
        validate = partial(caption_scores, self.model, self.validation, cache.read)
        if isinstance(stage, CrossEntropyStage):
            loader = make(photos(stage.captions_per_photo, fetch=cached(cache)))
            return CrossEntropy(decoder, None, stage.label_smoothing), loader, validate
        assert isinstance(stage, SelfCriticalStage)
        references = {image.file_name: [list(words) for words in image.tokens] for image in self.train_images}
        objective = SelfCritical(decoder, vocabulary, references, stage.samples, stage.max_length)
        return objective, make(photos(1, fetch=cached(cache))), validate

    def _read_set(self, name: str) -> CaptionSet:
        file = self.config.data.sets[name]
        found = find_captions(self.root / file.captions, {str(key): value for key, value in file.columns.items()})
        say(found.summary())
        captions = CaptionSet.of(found, file.split)
        if file.hold_out and not any(image.split == "val" for image in captions):
            captions = captions.hold_out(file.hold_out)
        self.held_out |= held_out_photos(captions)
        return captions.with_photos(self.photos, self.config.data.allow_missing)

    def _read_text(self) -> list[list[str]]:
        """What the language stage reads: the training photos' captions, and those without photos."""
        paths = [self.root / path for path in self.config.data.text]
        pairs = read_caption_text(paths, self.held_out) if paths else []
        # a text may hold the training photos' captions again, as Flickr30k holds Flickr8k
        own = [(photo_id(image.file_name), tokens) for image in self.train_images for tokens in image.tokens]
        others = ((photo, tuple(tokenize(caption))) for photo, caption in pairs)
        return [list(tokens) for _, tokens in dict.fromkeys((*own, *others))]

    def _new_model(self) -> Captioner:
        choice = self.config.encoder
        if self.config.init is not None or choice is None:
            return self._go_on(str(self.config.init))
        transform = default_transform(choice.name, choice.size, choice.crop)
        config = CaptionConfig(
            purpose=self.config.purpose,
            encoder=EncoderConfig(name=choice.name, transform=transform, precision=choice.precision),
            decoder=self.config.decoder,
            search=self.config.search,
            search_precision=self.config.search_precision,
        )
        vocabulary = Vocabulary.build(self.text, self.config.data.min_count)
        torch.manual_seed(self.config.seed)
        model = Captioner.build(config, vocabulary, pretrained=choice.pretrained and choice.weights is None)
        if choice.weights is not None:
            load_encoder_weights(model.encoder, self.root / choice.weights)
        with torch.no_grad():  # as model folders store them, so that a later stage finds the features of an earlier one
            for value in model.encoder.state_dict().values():
                value.copy_(value.half())
        model.decoder.to(self.run.accelerator.device)
        return model

    def _go_on(self, name: str) -> Captioner:
        """The model to go on from, which searches as the configuration says where that says how."""
        torch.manual_seed(self.config.seed)
        model = begin_with(name, self.text, self.config.data.min_count, self.run.accelerator.device)
        given = {"purpose", *({"search", "search_precision"} & self.config.model_fields_set)}
        model.config = model.config.model_copy(update={key: getattr(self.config, key) for key in given})
        return model

    def _engine(self) -> Engine:
        return Engine(self.model.encoder, self.run.accelerator.device, self.model.config.encoder.precision)

    def _names(self) -> list[str]:
        """The photos to learn from and to validate on."""
        return [image.file_name for each in self.sets.values() for image in each if image.split != "test"]

    def _fill_cache(self) -> FeatureCache:
        """Features of the photos by the encoder as it is now."""
        digest = digest_of_weights(self.model.encoder)
        root = self.config.data.cache or self.folder / "features"
        with counting("Computing features of photos") as progress:
            cache = FeatureCache.fill(
                root,
                self._engine(),
                self.photos,
                self._names(),
                weights_digest=digest,
                mirror=self.config.data.mirror,
                share=(processes.place(), processes.count()),
                progress=progress,
            )
            self._leave_out(processes.joined(cache.unreadable))
        return cache

    def _leave_out(self, unreadable: Mapping[str, str]) -> None:
        """Go on without photos that cannot be read, and say which."""
        before = self.unreadable or set()
        for name in sorted(unreadable.keys() - before):
            say(f"{unreadable[name]} It is left out.")
        self.unreadable = before | unreadable.keys()
        self.train_images = self.train_images.without(self.unreadable)
        parts = {
            name: [image for image in part if image.file_name not in unreadable]
            for name, part in self.validation.items()
        }
        self.validation = {name: part for name, part in parts.items() if part}
        if not self.validation or not len(self.train_images):
            which = "train" if self.validation else "val"
            raise DataError(f"{', '.join(self.sets)}: no photo of the {which} split can be read.")

    def _validate_afresh(self) -> tuple[float, Scores]:
        """Validation with the encoder as it is now, run as it will be after training."""
        engine = self._engine()
        transform = self.model.transform

        def read(names: Sequence[str]) -> Features:
            return engine(np.stack([transform(decode_image(self.photos.read(name), name)) for name in names]))

        return caption_scores(self.model, self.validation, read)

    def _keep(self, stage: str, score: float, scores: Scores) -> None:
        self._write(stage, stage, scores)

    def _write(self, name: str, origin: str, scores: Scores) -> None:
        """Write the model as it is now, with its scores and where its weights come from, to a folder of this name."""
        self.model.config = self.model.config.model_copy(update={"scores": {f"{k} val": v for k, v in scores.items()}})
        photos = {name: len(part) for name, part in self.validation.items()}
        card = write_card(
            self.config, self.model.config, self.command, origin, scores, photos, len(self.train_images), len(self.text)
        )
        self.model.save(self.folder / name, card)
