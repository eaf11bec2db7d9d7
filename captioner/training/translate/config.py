"""What trains a translator: its pairs of sentences, networks and stage, as configuration files name them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from captioner.decoding.steps import DecodingConfig
from captioner.models.caption_network import DecoderConfig
from captioner.models.translate import LIMIT
from captioner.models.translate_network import SourceConfig
from captioner.training.config import Count, Rate, Share, Stage, StagedConfig, Strict


class PairFiles(Strict):
    """Sentences and their translations: two aligned files, or one table. Paths are relative to `data.root`.

    Attributes:
        source: text file of the sentences, a line each, possibly gzipped.
        target: text file of their translations.
        table: or a file of tab-separated columns that holds both.
        columns: of the table, the sentence's and the translation's, from 0.
    """

    source: Path | None = None
    target: Path | None = None
    table: Path | None = None
    columns: tuple[int, int] = (0, 1)

    @model_validator(mode="after")
    def _one_form(self) -> "PairFiles":
        if (self.source is None) != (self.target is None) or (self.source is None) == (self.table is None):
            raise ValueError("name either source and target, or table")
        if min(self.columns) < 0 or self.columns[0] == self.columns[1]:
            raise ValueError("name two different columns, the first of which is 0")
        return self


class ParallelData(Strict):
    """What to learn from.

    Attributes:
        root: folder that the other paths are relative to.
        train: pairs to learn from.
        valid: pairs to validate on, by a name under which scores are reported.
        pieces: size of the joint vocabulary of both languages.
        dropout: probability of leaving out a merge when training sentences are cut ("BPE dropout").
        max_words: pairs with a longer side are left out.
        max_ratio: pairs of which one side is so many times as long as the other are left out.
    """

    root: Path = Path()
    train: list[PairFiles] = Field(min_length=1)
    valid: dict[str, PairFiles] = Field(min_length=1)
    pieces: int = Field(6000, ge=100)
    dropout: Share = 0.1
    max_words: Count = 100
    max_ratio: Rate = 3.0


class TranslateStage(Stage):
    """Cross-entropy of each next piece.

    Attributes:
        batch_size: pairs a step.
        label_smoothing: probability mass spread over all pieces.
    """

    batch_size: Count = 128
    label_smoothing: Share = 0.1


class TranslateStages(Strict):
    """The one stage there is."""

    cross_entropy: TranslateStage


class TranslateTrainingConfig(StagedConfig):
    """A whole training of a translator.

    Attributes:
        init: a translator to go on from, with its languages, pieces and networks: a model in the package, a folder, or
            `hf-hub:owner/name`.
        source: language that is read, such as `en`.
        target: language that is written, such as `de`.
        reader: the network that reads.
        decoder: the network that writes.
    """

    kind: Literal["translate"] = "translate"
    purpose: str = "translates captions"
    init: str | None = None
    source: str | None = None
    target: str | None = None
    data: ParallelData
    reader: SourceConfig = Field(default_factory=lambda: SourceConfig.model_validate({}))
    decoder: DecoderConfig = Field(default_factory=lambda: DecoderConfig.model_validate({}))
    search: DecodingConfig = DecodingConfig(max_length=LIMIT)
    stages: TranslateStages

    @model_validator(mode="after")
    def _one_start(self) -> "TranslateTrainingConfig":
        given = {*self.model_fields_set, *(f"data.{key}" for key in self.data.model_fields_set)}
        brought = [key for key in ("source", "target", "reader", "decoder", "data.pieces") if key in given]
        if self.init is not None and brought:
            raise ValueError(f"init brings its {brought[0]} along; leave {brought[0]} out")
        if self.init is None and (self.source is None or self.target is None):
            raise ValueError("give source and target, the languages, or init, a translator to go on from")
        return self
