"""Reading an input photo, wherever it lies."""

from captioner.data.packed import read_packed
from captioner.vision.images import Decoded, decode, read


def read_photo(path: str, *, at_least: tuple[int, int] | None = None, max_pixels: int) -> Decoded:
    """Read a photo file, or one in an archive; see `captioner.vision.images.decode`.

    Raises:
        ImageError: it cannot be read.
    """
    data = read_packed(path)
    if data is None:
        return read(path, at_least=at_least, max_pixels=max_pixels)
    return decode(data, path, at_least=at_least, max_pixels=max_pixels)
