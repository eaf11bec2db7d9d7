"""An index without a file: what was seen of some photos and clips, kept by whoever asks.

A server that keeps nothing hands it out as text and takes it back with the next question.
"""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError
from captioner.models.packed import PackedShape
from captioner.pipelines.folder.outputs import Outputs, Record, Writer
from captioner.pipelines.search.moments import Moments, Seen

_SPAN = struct.Struct("<2d")


class HeldIndex:
    """Files that were looked at, as `find_described` searches them.

    Args:
        shape: of the packed photos.
        files: by what names, what was seen of each.
    """

    def __init__(self, shape: PackedShape, files: Sequence[tuple[str, Sequence[Seen]]]) -> None:
        self.shape: PackedShape | None = shape
        self._seen = [seen for _, several in files for seen in several]
        self.moments = Moments(
            np.arange(len(self._seen)),
            [name for name, several in files for _ in several],
            [_span(seen) for seen in self._seen],
            _vectors(self._seen),
        )

    def packed(self, moments: Sequence[int]) -> list[bytes]:
        """Packed photos of some moments."""
        return [self._seen[each].packed for each in moments]


@dataclass(frozen=True)
class Text:
    """How what was seen of a file is written as text.

    Attributes:
        digest: of the model, eight bytes in hexadecimal, without which a text says nothing.
        shape: of the packed photos.
        size: values of a vector.
    """

    digest: str
    shape: PackedShape
    size: int

    def write(self, seen: Sequence[Seen]) -> str:
        """What was seen of a file, in base64."""
        moments = [_SPAN.pack(*(_span(each) or (math.nan, math.nan))) + each.vector + each.packed for each in seen]
        return base64.b64encode(bytes.fromhex(self.digest) + b"".join(moments)).decode()

    def read(self, text: str) -> list[Seen]:
        """What a text says was seen.

        Raises:
            DataError: another model has written it, or none of this kind.
        """
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise DataError("is not base64") from None
        head, split = len(self.digest) // 2, _SPAN.size + 2 * self.size
        length = split + self.shape.size
        if content[:head].hex() != self.digest or (len(content) - head) % length or len(content) == head:
            raise DataError("is not what this model saw")
        seen = []
        for first in range(head, len(content), length):
            start, end = _SPAN.unpack_from(content, first)
            vector, packed = content[first + _SPAN.size : first + split], content[first + split : first + length]
            numbers = np.frombuffer(vector + packed[: 2 * (self.shape.width + self.shape.regions)], np.float16)
            whole = math.isnan(start) and math.isnan(end) and len(content) == head + length
            if not np.isfinite(numbers).all() or not (whole or 0 <= start <= end < math.inf):
                raise DataError("is not what this model saw")
            seen.append(Seen(None if whole else start, None if whole else end, vector, packed))
        return seen


class Texts(Writer):
    """Hands records on with what was seen as text, in the field `looked`."""

    def __init__(self, outputs: Outputs, text: Text) -> None:
        super().__init__()
        self._outputs, self._text = outputs, text

    def write(self, records: Sequence[Record]) -> None:
        """Hand records on."""
        self._outputs.write([record if record.error is not None else self._with_text(record) for record in records])

    def _with_text(self, record: Record) -> Record:
        return replace(record, fields={"looked": self._text.write(record.picture)})


def _span(seen: Seen) -> tuple[float, float] | None:
    return None if seen.start is None or seen.end is None else (seen.start, seen.end)


def _vectors(several: Sequence[Seen]) -> NDArray[np.float32]:
    joined = np.frombuffer(b"".join(seen.vector for seen in several), np.float16).astype(np.float32)
    return joined.reshape(len(several), -1) if several else np.zeros((0, 0), np.float32)
