"""Photo captions: the model that reads pixels and writes sentences, and its folder (network: `caption_network`)."""

import copy
import functools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from captioner.decoding.search import DecodingConfig
from captioner.errors import ModelError, UsageError
from captioner.models.base import read_config, read_weights, write_model
from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.models.caption_writer import Caption, CaptionWriter
from captioner.models.concepts import CONCEPT_FILES, NO_CONCEPTS, Concept, ConceptWords
from captioner.models.language import LanguageModel
from captioner.models.phrases import PHRASE_FILES
from captioner.models.rank import Prepared, fits
from captioner.models.search import Finder, Found, Seen
from captioner.models.search_config import SHARE, encode_sentence
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Encoder, EncoderConfig, Engine, Features, Precision
from captioner.vision.given import Images, one_or_several, pixels_of
from captioner.vision.images import Pixels
from captioner.vision.lazy_encoder import LazyEncoder
from captioner.weights import Weights, check_fit, named, part_of

BATCH = 32


class CaptionConfig(BaseModel):
    """What a caption model's `config.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["caption"] = "caption"
    purpose: str = "captions photos"
    scores: dict[str, dict[str, float]] = {}
    encoder: EncoderConfig
    decoder: DecoderConfig
    search: DecodingConfig = DecodingConfig()
    search_precision: Precision = "float32"


class Captioner:
    """A trained model that captions images.

    Args:
        config: as in `config.json`.
        vocabulary: the words it knows.
        encoder: the CNN.
        decoder: the recurrent network.
        device: `cpu` or a CUDA device.
        name: for messages and signatures.
    """

    def __init__(
        self,
        config: CaptionConfig,
        vocabulary: Vocabulary,
        encoder: Encoder | LazyEncoder,
        decoder: CaptionDecoder,
        device: str | torch.device = "cpu",
        name: str = "",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self._encoder = encoder
        self.decoder = decoder.to(device).eval()
        self.name = name
        self.transform = config.encoder.transform
        self._folder: Path | None = None  # where it was read from, with what it searches by
        self._making = threading.Lock()  # of what runs the CNN
        self._writer = CaptionWriter(self.decoder, vocabulary, config.search_precision)

    @property
    def device(self) -> torch.device:
        """Where the decoder is, which training moves."""
        return self.decoder.bias.device

    @property
    def encoder(self) -> Encoder:
        """The CNN."""
        if isinstance(self._encoder, LazyEncoder):  # whoever asks for it may change its weights
            self._encoder = self._encoder.encoder
        return self._encoder

    @classmethod
    def build(cls, config: CaptionConfig, vocabulary: Vocabulary, encoder: Encoder | None = None) -> "Captioner":
        """A model whose decoder has learnt nothing yet, with a CNN, or a random one of the configuration's name."""
        encoder = encoder or Encoder(config.encoder.name, config.encoder.transform)
        return cls(config, vocabulary, encoder, CaptionDecoder(config.decoder, encoder.channels, len(vocabulary)))

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu", name: str = "") -> "Captioner":
        """Read a model folder.

        Raises:
            ModelError: a file is missing or damaged, or the files do not fit together.
        """
        config = read_config(folder, CaptionConfig)
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        path = folder / "model.safetensors"
        weights = read_weights(folder)
        found = weights.get("decoder.embedding.weight")
        if found is not None and len(found) != len(vocabulary):
            raise ModelError(
                f"{folder}: model.safetensors has an embedding of {len(found)} words, but vocabulary.json has "
                f"{len(vocabulary)}; the two come from different trainings. Copy the whole model folder again."
            )
        encoder = LazyEncoder(config.encoder, part_of(weights, "encoder."), torch.device(device), path)
        decoder = CaptionDecoder(config.decoder, encoder.channels, len(vocabulary))
        check_fit(weights, named("encoder.", encoder.weights) | named("decoder.", decoder.state_dict()), path)
        decoder.load_state_dict(part_of(weights, "decoder."))
        model = cls(config, vocabulary, encoder, decoder, device, name or folder.name)
        model._folder = folder
        return model

    def save(self, folder: Path, card: str) -> None:
        """Write a model folder: configuration, weights as float16, vocabulary and the model card (`README.md`).

        Concept words are written too if the model has just learnt them; those of an older one, and its phrases, are
        removed.
        """
        write_model(folder, self.config, self.weights(), card)
        self.vocabulary.save(folder / "vocabulary.json")
        for name in (*CONCEPT_FILES, *PHRASE_FILES):
            (folder / name).unlink(missing_ok=True)
        if self.concept_words is not None:
            self.concept_words.save(folder)

    def weights(self) -> Weights:
        """All tensors, under the names they have in `model.safetensors`."""
        return named("encoder.", self.encoder.state_dict()) | named("decoder.", self.decoder.state_dict())

    def caption(
        self, images: Images, *, beam_size: int | None = None, max_length: int | None = None, attention: bool = False
    ) -> list[Caption]:
        """Caption images.

        Args:
            images: paths, arrays (height, width) or (height, width, channels), or PIL images, of any size and mode; or
                one of these. An array of four dimensions holds several images.
            beam_size: hypotheses kept after each word; the model's own choice by default.
            max_length: most words of a caption; the model's own choice by default.
            attention: also say where the model looked for each word.

        Returns:
            the best caption of each image.

        Raises:
            ImageError: an image cannot be read, or is none.
        """
        options = self.config.search.but(beam_size=beam_size, max_length=max_length)
        captions = []
        for features in self._looked_at(images):
            captions += self.generate(features, options, attention=attention)
        return [best[0] for best in captions]

    def concepts(self, images: Images) -> list[list[Concept]]:
        """The words that images show, with probabilities, the likeliest first.

        Args:
            images: as `caption` takes them.

        Raises:
            ImageError: an image cannot be read, or is none.
            UsageError: the model has not learnt to tell words.
        """
        return [several for features in self._looked_at(images) for several in self.tell_concepts(features)]

    @functools.cached_property
    def concept_words(self) -> ConceptWords | None:
        """What tells concept words, where the model's folder has it."""
        if self._folder is None:
            return None
        found = ConceptWords.load(self._folder, self.config.decoder.embedding_size, len(self.vocabulary))
        return None if found is None else found.to(self.device).eval()

    @torch.inference_mode()
    def tell_concepts(self, features: Features) -> list[list[Concept]]:
        """The words that encoded images show; see `concepts`."""
        if self.concept_words is None:
            raise UsageError(f"{self.name}: {NO_CONCEPTS}")
        return self.concept_words.tell(self.decoder.summary(features.to(self.device)), self.vocabulary)

    @torch.inference_mode()
    def rank(self, images: Images, sentences: Sequence[str], *, share: float = SHARE) -> NDArray[np.float32]:
        """How well sentences fit images: log p(sentence | image) - share * log p(sentence).

        Compare the images of a sentence by its column, and the sentences of an image by its row.

        Args:
            images: as `caption` takes them.
            sentences: in English.
            share: of what the sentence is worth without an image. With 0 the matrix is log p(sentence | image).

        Returns:
            (images, sentences).

        Raises:
            ImageError: an image cannot be read, or is none.
            DataError: a sentence has no word.
        """
        ids = [encode_sentence(sentence, self.vocabulary) for sentence in sentences]
        photos = (Prepared.of(self.searched_decoder, each) for each in self._looked_at(images))
        found: NDArray[np.float32] = fits(self.searched_decoder, photos, ids, share).numpy()
        return found

    def see(self, images: Images) -> Seen:
        """Images as `search` looks through them, for several searches.

        Args:
            images: as `caption` takes them.

        Raises:
            ImageError: an image cannot be read, or is none.
            DataError: there is no image.
        """
        return Seen.join([self.finder.look(each) for each in self._looked_at(images)])

    def search(self, sentence: str, images: Seen | Images, *, top: int = 10) -> list[Found]:
        """The images that a sentence describes best; `captioner search` keeps an index of folders instead.

        Args:
            sentence: in English.
            images: what `see` gives, or images as `caption` takes them.
            top: how many.

        Returns:
            their places among the images with scores, best first.

        Raises:
            ImageError: an image cannot be read, or is none.
            DataError: there is no image, or no word in the sentence.
            ModelError: the model folder's search files are damaged, or belong to another captioner.
        """
        ids = encode_sentence(sentence, self.vocabulary)
        return self.finder.find(ids, images if isinstance(images, Seen) else self.see(images), top)

    @functools.cached_property
    def finder(self) -> Finder:
        """Both parts of a search.

        Raises:
            ModelError: the model folder's search files are damaged, or belong to another captioner.
        """
        return Finder(self) if self._folder is None else Finder.load(self._folder, self)

    def _looked_at(self, images: Images) -> Iterator[Features]:
        """Features of images as `caption` takes them, some at a time."""
        images = one_or_several(images)
        for first in range(0, len(images), BATCH):
            several = [pixels_of(image, self.transform.at_least) for image in images[first : first + BATCH]]
            yield self.encode(np.stack([self.transform(pixels) for pixels in several]))

    @property
    def searched_decoder(self) -> CaptionDecoder:
        """The decoder in the arithmetic of searches, to read given sentences with."""
        return self._writer.searched_decoder

    def encode(self, pixels: Pixels, *, parallel: bool = True) -> Features:
        """Features of transformed images.

        Args:
            pixels: uint8 RGB (images, height, width, 3).
            parallel: look at several images at once on a CPU; False for callers of which several are at work, each in
                its own thread.
        """
        with self._making:
            run = self._run
        return run(pixels, parallel=parallel)

    @functools.cached_property
    def _run(self) -> LazyEncoder | Engine:
        """What runs the CNN, with the weights that it has at the first pixels."""
        if isinstance(self._encoder, LazyEncoder):
            return self._encoder
        return Engine(self._encoder, self.device, self.config.encoder.precision)

    def of_clips(self, grids: torch.Tensor) -> Features:
        """Features of clips from those of their frames: all regions of all frames as one larger grid.

        Args:
            grids: (clips, frames, regions, channels); a photo is a clip of one frame.
        """
        return Features.of(grids.flatten(1, 2))

    def fuse(self, language: LanguageModel, weight: float) -> None:
        """Fuse with a language model, which then scores every word of `caption` and `generate`; see `ShallowFusion`.

        Captions are then ranked by the fused score, but what each reports stays this model's own log-probability.

        Raises:
            UsageError: the weight is negative or no number, or the language model predicts characters.
        """
        self._writer = self._writer.fused(language, weight)

    def fused(self, language: LanguageModel, weight: float) -> "Captioner":
        """A captioner with the same weights that is fused, for those who need both; see `fuse`."""
        other = copy.copy(self)
        other.fuse(language, weight)
        return other

    def generate(
        self, features: Features, options: DecodingConfig | None = None, *, attention: bool = False
    ) -> list[list[Caption]]:
        """Write captions for encoded images.

        Args:
            features: as `encode` gives them.
            options: how to search; the model's own choice by default.
            attention: also say where the model looked for each word.

        Returns:
            for each image its captions, best first.
        """
        options = options or self.config.search
        features = features.to(self.device)
        chooses = options.method == "beam" and not self._writer.is_fused and self.finder.chooses
        wide = replace(options, num_captions=max(options.num_captions, options.beam_size)) if chooses else options
        captions = self._writer.write(features, wide, self.grid_shape() if attention else None)
        if chooses:
            bfloat16 = self._writer.in_bfloat16
            captions = self.finder.choose(features, captions, options.length_penalty, bfloat16=bfloat16)
        return [several[: options.num_captions] for several in captions]

    def score(self, features: Features, captions: Sequence[Sequence[str]]) -> list[float]:
        """Log-probability of a tokenised caption (the end included) for each encoded image, by teacher forcing."""
        return self._writer.score(features, captions)

    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the grid that the decoder looks at."""
        return self._encoder.grid_shape()
