"""`captioner train` of a photo captioner: from captioned photos to a model folder, stage by stage."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.data.captions import CaptionSet
from captioner.data.corpora import held_out_photos, photo_id, read_caption_text
from captioner.data.shard_copies import Copies
from captioner.errors import ConfigError, DataError
from captioner.models.base import tokenization_of
from captioner.models.caption import CaptionConfig, Captioner
from captioner.text.vocabulary import Vocabulary
from captioner.training import processes
from captioner.training.batches import Augmented, PhotoItems, TextItems, cached, make_loader
from captioner.training.caption.card import caption_card
from captioner.training.caption.concepts import calibrate, fit_concepts
from captioner.training.caption.config import (
    CaptionTrainingConfig,
    CrossEntropyStage,
    FineTuneStage,
    LanguageStage,
    SelfCriticalStage,
)
from captioner.training.caption.content import CrossEntropyOfText, regress_content
from captioner.training.caption.data import leave_out_copies, open_photos, read_set
from captioner.training.caption.objective import CrossEntropy, SelfCritical
from captioner.training.caption.photo_parts import PhotoParts
from captioner.training.caption.start import begin_with
from captioner.training.caption.validation import BATCH, caption_scores, language_scores
from captioner.training.card import ModelCard
from captioner.training.config import Stage
from captioner.training.encoder import new_encoder
from captioner.training.loop import Scores
from captioner.training.plan import Step
from captioner.training.record import counting, say
from captioner.training.start import find_init
from captioner.training.tokens import check_scripts
from captioner.training.training import Training, Work
from captioner.vision.cache import FeatureCache, digest_of_weights, find_unreadable, fingerprints
from captioner.vision.encoder import Engine, Features
from captioner.vision.images import Pixels, decode_image

_BEGINNERS = 3.0  # times the rate, for networks that have learnt nothing yet


class CaptionTraining(Training[CaptionTrainingConfig, Captioner]):
    """Training of a photo captioner; see `Training` for the arguments.

    Raises:
        CaptionerError: the photos, their captions or the CNN cannot be used.
    """

    shared = "language"

    def __init__(self, config: CaptionTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> None:
        super().__init__(config, folder, command, device=device, resume=resume)
        self.root = config.data.root
        files = config.data.sets
        cache = config.data.cache or folder / "features"
        copies = Copies(cache / "shards", int(config.data.copies * 1e9), processes.local_count())
        self.photos = open_photos(files, self.root, folder / "shards", copies)
        before = None if config.init is None else tokenization_of(str(find_init(config.init, "caption")))
        self.tokenization = config.data.tokenization(before)
        self.held_out: set[str] = set()  # photos, also those that are not there
        self.sets = {name: self._read_set(name) for name in files}
        everything = leave_out_copies(CaptionSet.join(list(self.sets.values())), self.photos)
        self.train_images = everything.split("train")
        self.validation = {
            name: part
            for name, each in self.sets.items()
            if (part := [image for image in each if image.split == "val"])
        }
        if not self.validation:
            raise ConfigError("data.sets: no photo in a val split; set hold_out to keep some of the photos.")
        self.text = self._read_text()
        self.parts = PhotoParts(self.photos, everything)
        self.unreadable: set[str] | None = None  # photos, once they have been tried

    def material(self) -> Iterable[object]:
        """The photos of each set with their captions, and the text."""
        for name, captions in self.sets.items():
            yield name, captions.material()
        yield self.text

    def pictures(self) -> Iterable[object]:
        """Fingerprints of the photos."""
        return fingerprints(self.photos, list(self.parts.shards))

    def begin(self, step: Step) -> None:
        """Teach a decoder that has seen no photo what their content vectors are."""
        new = self.config.init is None and step.start in (None, "language")
        if new and not isinstance(step.stage, LanguageStage) and self.config.decoder.content_vector:
            cache = self._fill_cache()
            here = [image for image in self.train_images if image.file_name in cache.index]  # of several machines
            pooled = torch.cat([cache.read([image.file_name]).pooled for image in here])
            regress_content(self.model.decoder, pooled, here, self.model.vocabulary)

    def prepare(self, stage: Stage, seed: int) -> Work:
        """Cross-entropy of text, of features or end to end, or CIDEr-D by policy gradient."""
        decoder, vocabulary, longest = self.model.decoder, self.model.vocabulary, self.config.data.max_caption_length
        make = partial(make_loader, batch_size=stage.batch_size, seed=seed)
        # inputs of `content` are means of rectified features, all positive: its steps add up over a thousand channels
        rates: dict[float, list[nn.Parameter]] = {1.0: [], 0.1: []}
        for key, value in decoder.named_parameters():
            rates[0.1 if key.startswith("content.") else 1.0].append(value)
        groups: list[dict[str, Any]] = [{"params": values, "lr": rate} for rate, values in rates.items() if values]
        if isinstance(stage, LanguageStage):
            loader = make(TextItems(self.text, vocabulary, longest))
            text = CrossEntropyOfText(decoder, vocabulary, stage.label_smoothing)
            exact = CrossEntropyOfText(decoder, vocabulary, 0.0).to(self.device)
            validate = partial(language_scores, exact, vocabulary, self.validation, longest)
            return Work(text, groups, loader, validate, partial=True)  # the layers that read photos have nothing to do
        cache = None
        if not isinstance(stage, FineTuneStage):
            cache = self._fill_cache()
        elif self.unreadable is None:
            self._leave_out(processes.joined(find_unreadable(self.photos, self.parts.mine())))
        photos = partial(PhotoItems, self.train_images, vocabulary, max_length=longest, seed=seed)
        if isinstance(stage, FineTuneStage):
            encoder = self.model.encoder
            encoder.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            encoder.freeze(stage.frozen)
            fetch = Augmented(self.photos, encoder.transform.size, stage.smallest_crop, stage.jitter)
            items = photos(stage.captions_per_photo, fetch=fetch)
            buckets = self.parts.buckets(items, stage.batch_size, seed, streamed=True)
            loader = make(items, workers=self.config.workers, buckets=buckets)
            trained = [value for value in encoder.parameters() if value.requires_grad]
            groups.append({"params": trained, "lr": stage.encoder_rate})
            objective = CrossEntropy(decoder, encoder, stage.label_smoothing, stage.matching).to(self.device)
            if objective.matching is not None:  # these networks begin, where the others go on
                groups.append({"params": list(objective.matching.parameters()), "lr": _BEGINNERS})
            return Work(objective, groups, loader, self.validate)
        assert cache is not None
        validate = partial(caption_scores, self.model, self.validation, cache.read)
        if isinstance(stage, CrossEntropyStage):
            items = photos(stage.captions_per_photo, fetch=cached(cache))
            loader = make(items, buckets=self.parts.buckets(items, stage.batch_size, seed))
            return Work(CrossEntropy(decoder, None, stage.label_smoothing), groups, loader, validate)
        assert isinstance(stage, SelfCriticalStage)
        references = {image.file_name: [list(words) for words in image.tokens] for image in self.train_images}
        reward = SelfCritical(decoder, vocabulary, references, stage.samples, stage.max_length)
        items = photos(1, fetch=cached(cache))
        loader = make(items, buckets=self.parts.buckets(items, stage.batch_size, seed))
        return Work(reward, groups, loader, validate)

    def validate(self) -> tuple[float, Scores]:
        """CIDEr-D and BLEU-4 with the encoder as it is now, run as it will be after training."""
        return caption_scores(self.model, self.validation, self._look())

    def _look(self) -> Callable[[Sequence[str]], Features]:
        """Gives the features of photos by name, by the encoder as it is now."""
        engine = self._engine()
        transform = self.model.transform

        def pixels(name: str) -> Pixels:
            return transform(decode_image(self.photos.read(name), name))

        def read(names: Sequence[str]) -> Features:
            with ThreadPoolExecutor() as pool:  # photos at other addresses take their time
                return engine(np.stack(list(pool.map(pixels, names))))

        return read

    @torch.inference_mode()
    def _summaries(self, names: Sequence[str]) -> Tensor:
        """What the decoder knows of each photo before the first word (photos, width)."""
        look, decoder = self._look(), self.model.decoder
        found = []
        with counting("Looking at photos for concept words") as progress:
            for first in range(0, len(names), BATCH):
                features = look(names[first : first + BATCH]).to(self.device)
                found.append(decoder.summary(features).float().cpu())
                progress(min(first + BATCH, len(names)), len(names))
        return torch.cat(found).clone()

    def finish(self) -> None:
        """Learn to tell concept words."""
        if not self.config.concepts:
            return
        self.model = model = self.read("model")
        learnt = list(self.train_images)
        tried = [image for part in self.validation.values() for image in part]
        summaries = self._summaries([image.file_name for image in (*learnt, *tried)])
        known, new = summaries[: len(learnt)], summaries[len(learnt) :]
        model.concept_words = fit_concepts(self.config.concepts, known, learnt, model.vocabulary)
        calibrate(model.concept_words, new, tried, model.vocabulary)
        model.save(self.folder / "model", (self.folder / "model" / "README.md").read_text(encoding="utf-8"))

    def card(self, origin: str, scores: Scores) -> ModelCard:
        """The model card."""
        photos = {name: len(part) for name, part in self.validation.items()}
        return caption_card(
            self.config,
            self.model.config,
            self.command,
            origin,
            scores,
            photos,
            len(self.train_images),
            len(self.text),
        )

    def _read_set(self, name: str) -> CaptionSet:
        file = self.config.data.sets[name]
        found = read_set(file, self.root, self.photos)
        say(found.summary())
        check_scripts(self.tokenization, (text for entry in found.entries for text in entry.captions), found.source)
        captions = CaptionSet.of(found, file.split, self.tokenization)
        if file.hold_out and not any(image.split == "val" for image in captions):
            captions = captions.hold_out(file.hold_out)
        self.held_out |= held_out_photos(captions)
        return captions.with_photos(self.photos, self.config.data.allow_missing)

    def _read_text(self) -> list[list[str]]:
        """What the language stage reads: the training photos' captions, and those without photos."""
        paths = [self.root / path for path in self.config.data.text]
        pairs = read_caption_text(paths, self.held_out) if paths else []
        # a text may hold the training photos' captions again, as Flickr30k holds Flickr8k
        own = dict.fromkeys((image.file_name, tokens) for image in self.train_images for tokens in image.tokens)
        read = {(photo_id(name), tokens) for name, tokens in own}
        others = dict.fromkeys((photo, tuple(self.tokenization.tokenize(caption))) for photo, caption in pairs)
        return [list(tokens) for _, tokens in (*own, *(each for each in others if each not in read))]

    def new_model(self) -> Captioner:
        """The captioner to go on from, or one whose CNN alone has learnt something."""
        choice = self.config.encoder
        if self.config.init is not None or choice is None:
            return self._go_on(str(self.config.init))
        vocabulary = Vocabulary.build(self.text, self.config.data.min_count, tokenization=self.tokenization)
        torch.manual_seed(self.config.seed)
        encoder_config, encoder = new_encoder(choice.name, choice, self.root)
        config = CaptionConfig(
            purpose=self.config.purpose,
            encoder=encoder_config,
            decoder=self.config.decoder,
            search=self.config.search,
            search_precision=self.config.search_precision,
        )
        model = Captioner.build(config, vocabulary, encoder)
        with torch.no_grad():  # as model folders store them, so that a later stage finds the features of an earlier one
            for value in encoder.state_dict().values():
                value.copy_(value.half())
        model.decoder.to(self.device)
        return model

    def _go_on(self, name: str) -> Captioner:
        """The model to go on from, which searches as the configuration says where that says how."""
        torch.manual_seed(self.config.seed)
        model = begin_with(name, self.text, self.config.data.min_count, self.device, self.tokenization)
        given = {"purpose", *({"search", "search_precision"} & self.config.model_fields_set)}
        config = model.config.model_copy(update={key: getattr(self.config, key) for key in given})
        return Captioner(config, model.vocabulary, model.encoder, model.decoder, self.device, name)

    def _engine(self) -> Engine:
        return Engine(self.model.encoder, self.device, self.model.config.encoder.precision)

    def _fill_cache(self) -> FeatureCache:
        """Features of the photos by the encoder as it is now."""
        digest = digest_of_weights(self.model.encoder)
        root = self.config.data.cache or self.folder / "features"
        with counting("Computing features of photos") as progress:
            cache = FeatureCache.fill(
                root,
                self._engine(),
                self.photos,
                self.parts.here(),
                weights_digest=digest,
                mirror=self.config.data.mirror,
                mine=self.parts.mine(),
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
