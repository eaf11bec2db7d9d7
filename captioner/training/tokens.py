"""The choice of tokens that trainings on captions share."""

from collections.abc import Iterable

from pydantic import model_validator

from captioner.errors import ConfigError
from captioner.text.tokenization import PTB, Scheme, Tokenization, without_spaces
from captioner.training.config import Strict


class TokenChoice(Strict):
    """How captions become tokens.

    Attributes:
        tokens: `ptb` are those of COCO's official scorer, for English; `unicode` those of any language, where the
            characters of Chinese, Japanese, Korean and Thai are tokens. By default as the model has them that a
            training goes on from, else `ptb`, or `unicode` where case is kept.
        lower: write all in lower case.
    """

    tokens: Scheme | None = None
    lower: bool = True

    @model_validator(mode="after")
    def _ptb_is_lower(self) -> "TokenChoice":
        if self.tokens == "ptb" and not self.lower:
            raise ValueError("tokens of ptb are in lower case; keep case with tokens: unicode")
        return self

    def tokenization(self, before: Tokenization | None = None) -> Tokenization:
        """The choice.

        Args:
            before: that of the model that a training goes on from.
        """
        if self.tokens is None and self.lower:
            return before or PTB
        return Tokenization(self.tokens or "unicode", self.lower)


def check_scripts(tokenization: Tokenization, captions: Iterable[str], source: object) -> None:
    """See that tokens are no whole captions.

    Raises:
        ConfigError: they are, as most captions are in a script without spaces, and tokens are made at spaces.
    """
    example = without_spaces(captions) if tokenization == PTB else None
    if example is not None:
        raise ConfigError(
            f"{source}: captions without spaces between words, such as {example[:20]!r}, would be one token each; set "
            "data.tokens=unicode."
        )
