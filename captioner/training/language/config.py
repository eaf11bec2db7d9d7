"""What trains a language model: its text, network and stage, as configuration files name them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from captioner.models.language import Tokens
from captioner.models.language_network import NetworkConfig
from captioner.training.config import Count, Stage, StagedConfig, Strict


class TextData(Strict):
    """What to learn from. Paths are relative to `root`.

    Attributes:
        root: folder that the other paths are relative to.
        tokens: `words` reads text files, whose words stand between white space, as one stream, and `characters` the
            same files character by character; `captions` reads captions (COCO and Karpathy JSON, and folders like
            Multi30k's), each on its own.
        train: files; a text inside a zip file is named as if the zip were a folder.
        valid: files to validate on. Of captions files only the val split is used, and captions of photos in their val
            and test splits are not learnt from.
        min_count: rarer words become `<unk>`.
    """

    root: Path = Path()
    tokens: Tokens = "words"
    train: list[Path] = Field(min_length=1)
    valid: list[Path] = Field(min_length=1)
    min_count: Count = 1


class LanguageStage(Stage):
    """Cross-entropy of each next word.

    Attributes:
        batch_size: streams, or captions, a step.
        steps: words of a stream over which gradients are propagated.
    """

    batch_size: Count = 20
    steps: Count = 70


class LanguageStages(Strict):
    """The one stage there is."""

    language: LanguageStage


class LanguageTrainingConfig(StagedConfig):
    """A whole training of a language model.

    Attributes:
        init: a language model of the same tokens to go on from, with its network and words: one in the package, a
            folder, or `hf-hub:owner/name`.
    """

    kind: Literal["language"] = "language"
    purpose: str = "predicts the next word"
    data: TextData
    init: str | None = None
    network: NetworkConfig = Field(default_factory=lambda: NetworkConfig.model_validate({}))
    stages: LanguageStages

    @model_validator(mode="after")
    def _one_network(self) -> "LanguageTrainingConfig":
        if self.init is not None and "network" in self.model_fields_set:
            raise ValueError("init brings its network along; leave network out")
        return self

    def one_process(self) -> str | None:
        """The windows of a text follow one another; captions do not."""
        if self.data.tokens == "captions":
            return None
        return "a language model of a text is trained by one process, because each window follows the one before it"
