"""`captioner train` of a search's quick part: its captioner's folder comes out with the search in it."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from captioner.applications import MORE_FILES
from captioner.data.captions import CaptionedImage, CaptionSet
from captioner.data.shard_copies import Copies
from captioner.errors import ConfigError
from captioner.models.base import read_weights, tokenization_of
from captioner.models.caption import Captioner
from captioner.models.search import Finder, SearchNetwork, write_search
from captioner.models.search_config import SearchConfig, captioner_digest
from captioner.training.batches import make_loader
from captioner.training.caption.data import leave_out_copies, open_photos, read_set
from captioner.training.caption.photo_parts import PhotoParts
from captioner.training.checkpoints import digest_of
from captioner.training.loop import Run, Scores
from captioner.training.record import counting, say
from captioner.training.search.card import with_phrases, with_search
from captioner.training.search.config import ContrastiveStage, SearchTrainingConfig
from captioner.training.search.objective import Contrastive, SearchItems, search_scores
from captioner.training.search.phrases import fit_phrases
from captioner.training.start import find_init
from captioner.vision.cache import FeatureCache, digest_of_weights, fingerprints
from captioner.vision.encoder import Engine
from captioner.weights import write_atomically

_BLOCK = 128  # photos whose features are averaged at a time


class SearchTraining:
    """Training of a search's quick part.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        resume: continue from the last checkpoint.

    Raises:
        ConfigError: `init` is no photo captioner.
        DataError: captions or photos cannot be used.
    """

    def __init__(self, config: SearchTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> None:
        self.config, self.folder, self.command = config, folder, command
        self.origin = find_init(config.init, "caption")
        data = config.data
        copies = Copies((data.cache or folder / "features") / "shards", int(data.copies * 1e9))
        self.photos = open_photos(data.sets, data.root, folder / "shards", copies)
        self.sets = {}
        for name, file in data.sets.items():
            found = read_set(file, data.root, self.photos)
            captions = CaptionSet.of(found, file.split, tokenization_of(str(self.origin)))
            if file.hold_out and not any(image.split == "val" for image in captions):
                captions = captions.hold_out(file.hold_out)
            self.sets[name] = captions.with_photos(self.photos)
        material = [(name, captions.material()) for name, captions in self.sets.items()]
        names = [image.file_name for each in self.sets.values() for image in each if image.split != "test"]
        self.run = Run(
            folder,
            config,
            device=device,
            resume=resume,
            metric="photos R@10",
            unit="captions",
            data=digest_of([captioner_digest(self.origin), material]),
            pictures=digest_of(fingerprints(self.photos, names)),
        )
        self.captioner = Captioner.load(self.origin, self.run.accelerator.device, config.init)

    def run_all(self) -> Path:
        """Train; returns the folder of the captioner with its search.

        Raises:
            ConfigError: no photo is left to validate on.
        """
        config, stage = self.config, self.config.stages.contrastive
        if stage is None and not config.phrase_weight:
            raise ConfigError("stages.contrastive: null leaves nothing to learn; or set phrase_weight.")
        cache = self._fill()
        parts = {name: [image for image in each if image.split == "val"] for name, each in self.sets.items()}
        validation = {
            name: kept
            for name, part in parts.items()
            if (kept := [image for image in part if image.file_name not in cache.unreadable])
        }
        if not validation and stage is not None:
            raise ConfigError("data.sets: no photo in a val split; set hold_out to keep some of a COCO file's photos.")
        everything = leave_out_copies(CaptionSet.join(list(self.sets.values())), self.photos)
        images = everything.split("train").without(cache.unreadable)
        pooled = _pooled(cache, images, self.captioner.grid_shape())
        if stage is not None:
            seen = {name: _pooled(cache, part)[:, 0] for name, part in validation.items()}
            self._learn(stage, images, pooled, validation, seen)
        if config.phrase_weight:
            self._add_phrases(images, pooled[:, 0])
        return self.folder / "model"

    def _learn(
        self,
        stage: ContrastiveStage,
        images: CaptionSet,
        pooled: Tensor,
        validation: Mapping[str, Sequence[CaptionedImage]],
        seen: Mapping[str, Tensor],
    ) -> None:
        """Train the quick part; the folder has the best so far."""
        config, finder = self.config, self._new_finder(pooled)
        assert finder.network is not None
        embedding = self.captioner.decoder.embedding.weight * self.captioner.decoder.config.embedding_size**0.5
        objective = Contrastive(finder.network, embedding.float(), stage.temperature)
        items = SearchItems(images, pooled, self.captioner.vocabulary, config.data.max_caption_length, config.seed)
        self.run.train(
            "contrastive",
            0,
            stage,
            objective,
            [{"params": list(objective.parameters()), "lr": 1.0}],
            make_loader(items, stage.batch_size, config.seed),
            lambda: search_scores(finder, validation, seen),
            lambda score, scores: self._keep(finder, len(images), scores),
        )

    def _add_phrases(self, images: CaptionSet, pooled: Tensor) -> None:
        """Learn what captions probably say, beside the search of the finished folder."""
        target = self.folder / "model"
        _copy(self.origin, target)
        phrases = fit_phrases(pooled, images, self.captioner.vocabulary, self.config.phrase_weight)
        phrases.save(target)
        cards = [folder / "README.md" for folder in (target, self.origin)]
        before = next((card.read_text(encoding="utf-8") for card in cards if card.is_file()), "")
        card = with_phrases(before, self.config, phrases, self.command, len(images))
        write_atomically(target / "README.md", card)

    def _new_finder(self, pooled: Tensor) -> Finder:
        """Networks that have learnt nothing, but what photos are like on average."""
        sizes = self.config.network.model_dump()
        sizes["background"] = min(sizes["background"], len(pooled))
        search = SearchConfig(captioner=captioner_digest(self.origin), **sizes)
        torch.manual_seed(self.config.seed)
        network = SearchNetwork(search, self.captioner.decoder.config.embedding_size, pooled.shape[-1])
        network.center.copy_(pooled.mean((0, 1)))
        network.scale.copy_(pooled.flatten(0, 1).std(0) + 1e-4)
        places = torch.linspace(0, len(pooled) - 1, search.background).long()
        network.background.copy_(pooled[places, 0])
        return Finder(self.captioner, search, network)

    def _keep(self, finder: Finder, photos: int, scores: Scores) -> None:
        """Write the captioner's folder with the search as it is."""
        assert finder.config is not None
        assert finder.network is not None
        named = {f"{name} val": each for name, each in scores.items()}
        target, card = self.folder / "model", self.origin / "README.md"
        _copy(self.origin, target)
        write_search(target, finder.config.model_copy(update={"scores": named}), finder.network)
        before = card.read_text(encoding="utf-8") if card.is_file() else ""
        write_atomically(
            target / "README.md", with_search(before, self.config, finder.config, self.command, photos, named)
        )

    def _fill(self) -> FeatureCache:
        """Features of the photos to learn from and to validate on; those that cannot be read are named."""
        precision = self.captioner.config.encoder.precision
        with counting("Computing features of photos") as progress:
            cache = FeatureCache.fill(
                self.config.data.cache or self.folder / "features",
                Engine(self.captioner.encoder, self.captioner.device, precision),
                self.photos,
                [image.file_name for each in self.sets.values() for image in each if image.split != "test"],
                weights_digest=digest_of_weights(self.captioner.encoder),
                mirror=self.config.data.mirror,
                mine=PhotoParts(self.photos, CaptionSet.join(list(self.sets.values()))).mine(),
                progress=progress,
            )
        for problem in cache.unreadable.values():
            say(f"{problem} It is left out.")
        return cache


def _pooled(cache: FeatureCache, images: Iterable[CaptionedImage], shape: tuple[int, int] | None = None) -> Tensor:
    """The mean (photos, views, channels) of each photo's features.

    Args:
        cache: of the features.
        images: whose.
        shape: rows and columns of the grid; with it, the means of each photo's four corners are views too.
    """
    rows = [cache.index[image.file_name] for image in images]
    blocks = []
    for first in range(0, len(rows), _BLOCK):
        grids = torch.from_numpy(cache.grids[rows[first : first + _BLOCK]]).float()
        views = [grids.mean(2)]
        if shape is not None:
            cells = grids.unflatten(2, shape)
            high, wide = (max(1, 7 * size // 9) for size in shape)
            for top in (slice(None, high), slice(-high, None)):
                views += [cells[:, :, top, left].mean((2, 3)) for left in (slice(None, wide), slice(-wide, None))]
        blocks.append(torch.cat(views, 1))
    return torch.cat(blocks)


def _copy(origin: Path, target: Path) -> None:
    """The captioner's own files, and what else it knows."""
    target.mkdir(parents=True, exist_ok=True)
    read_weights(origin)  # a damaged one is not handed on
    for name in ("config.json", "model.safetensors", "vocabulary.json", *MORE_FILES):
        if (name not in MORE_FILES or (origin / name).exists()) and not (target / name).exists():
            shutil.copyfile(origin / name, target / name)
