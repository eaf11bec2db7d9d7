"""How annotations and results name images: by whole numbers, or by texts."""

from typing import Any

ImageId = int | str
_LONGEST = 19  # digits; longer ones are hashes, not numbers


def image_id(value: Any) -> ImageId | None:
    """An image's id in one form: digits such as `000000000042` are the number 42, other texts stay; None if it is none.

    Files that have gone through a spreadsheet or another program write one number as 42, "42", 42.0 or 000000000042.
    """
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else text or None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
