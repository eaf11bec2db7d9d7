"""How captions are written: with something before and behind, in lower case, or without a full stop."""

from dataclasses import dataclass
from typing import Literal

Style = Literal["sentence", "no-stop", "lower", "plain"]


@dataclass(frozen=True)
class Wording:
    """Makes of a model's caption what is written.

    Attributes:
        prefix: what stands before it, as it is.
        suffix: what stands behind it, as it is.
        style: `sentence` leaves it as the model says it, `no-stop` drops the full stop, `lower` makes it lower case,
            and `plain` does both.
    """

    prefix: str = ""
    suffix: str = ""
    style: Style = "sentence"

    def __call__(self, caption: str) -> str:
        """The caption as it is written."""
        if self.style in ("no-stop", "plain"):
            caption = caption.rstrip(".。।").rstrip()
        if self.style in ("lower", "plain"):
            caption = caption.lower()
        return f"{self.prefix}{caption}{self.suffix}"
