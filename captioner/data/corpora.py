"""Plain English captions, without their photos: what a decoder learns the language from before it sees a picture."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from captioner.data.caption_forms import find_captions
from captioner.data.captions import CaptionSet
from captioner.data.parallel import read_lines
from captioner.errors import DataError


def photo_id(file_name: str) -> str:
    """The number under which Flickr or COCO knows a photo, so that data sets which share photos can be compared.

    `1000268201_693b08cb0e.jpg` and `1000268201.jpg` are Flickr's 1000268201; `COCO_val2014_000000000042.jpg` and
    `000000000042.jpg` are COCO's 000000000042 (always twelve digits, which no Flickr number has). Any other name is
    its own id, less the suffix.
    """
    stem = file_name.rpartition("/")[2].rpartition(".")[0] or file_name
    coco = re.search(r"(?:^|_)(\d{12})$", stem)
    flickr = re.match(r"\d+(?=_|$)", stem)
    return coco[1] if coco else flickr[0] if flickr else stem


def held_out_photos(captions: CaptionSet) -> set[str]:
    """The photo ids of the validation and test splits: what no model may read captions of."""
    return {photo_id(image.file_name) for image in captions if image.split != "train"}


def read_caption_text(paths: Iterable[Path], exclude: Collection[str] = ()) -> list[tuple[str, str]]:
    """Read captions and the ids of the photos that they describe.

    Args:
        paths: files and folders in the forms that `caption_forms.find_captions` knows, and folders laid out as
            Multi30k's `captions`: a list of photo names `PART_images.txt` and line by line the captions `PART.1.en`,
            `PART.2.en`, ..., all possibly gzipped.
        exclude: photo ids, as `photo_id` gives them, whose captions are left out.

    Returns:
        (photo id, caption as written) in the order of the files; captions without a word, and those that a photo has
        already (COCO's val2014 holds the photos of val2017), are left out.

    Raises:
        DataError: a path is neither, its files do not match line by line, or nothing is left.
    """
    paths = list(paths)
    excluded = set(exclude)
    pairs = dict.fromkeys(
        pair for path in paths for pair in (_read_folder(path) if _is_multi30k(path) else _read_captions(path))
    )
    kept = [(photo, caption) for photo, caption in pairs if photo not in excluded and re.search(r"\w", caption)]
    if not kept:
        raise DataError(f"{', '.join(map(str, paths)) or 'no file'}: no captions to learn from.")
    return kept


def _read_captions(path: Path) -> list[tuple[str, str]]:
    return [(photo_id(entry.name), text.strip()) for entry in find_captions(path).taken() for text in entry.captions]


def _is_multi30k(path: Path) -> bool:
    return path.is_dir() and bool(_lists(path))


def _lists(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*_images.txt"), *folder.glob("*_images.txt.gz")])


def _read_folder(folder: Path) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for names in _lists(folder):
        part = names.name.partition("_images.txt")[0]
        photos = [photo_id(name) for name in read_lines(names)]
        texts = sorted([*folder.glob(f"{part}.*.en"), *folder.glob(f"{part}.*.en.gz")])
        if not texts:
            raise DataError(f"{folder}: {names.name} has no captions beside it ({part}.1.en, possibly .gz).")
        for text in texts:
            captions = read_lines(text)
            if len(captions) != len(photos):
                raise DataError(f"{text}: {len(captions)} lines, but {names.name} names {len(photos)} photos.")
            pairs += zip(photos, captions, strict=True)
    return pairs
