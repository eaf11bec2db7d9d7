"""Captions in the photos' own files, where photo libraries look for them."""

import os
from collections.abc import Sequence

from captioner.data.embedded import SUFFIXES, embed_description, has_description
from captioner.data.packed import split
from captioner.errors import DataError, UsageError
from captioner.pipelines.caption.sidecars import FULL
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import stamp_of
from captioner.pipelines.folder.outputs import Record, Writer
from captioner.pipelines.folder.row_file import WriteError, reason, replace_file
from captioner.pipelines.gallery.rows import captions_of


class Embedded(Writer):
    """The caption as the photo's description; a photo that has one keeps it, and so does one that failed.

    The original stays until the new file is whole, read back, and on the disk. Other outputs come after this one, since
    their rows tell what the photo's file is like.

    Args:
        inputs: the images and clips.
        overwrite: replace descriptions that are there.
        language: of the captions.

    Raises:
        UsageError: the photos lie in an archive, or pyexiv2 is not installed.
    """

    keeps_failures = False

    def __init__(self, inputs: Sequence[str], *, overwrite: bool, language: str) -> None:
        super().__init__()
        self.overwrite, self.language = overwrite, language
        self._before = 0
        try:
            import pyexiv2  # noqa: F401
        except ImportError:
            raise UsageError('--embed needs pyexiv2; pip install "captioner[formats]".') from None
        for path in inputs:
            if split(path) is not None:
                raise UsageError(f"{shown(path)}: --embed cannot write into an archive; use -o FILE.")
            if not path.lower().endswith(SUFFIXES):
                kind = os.path.splitext(path)[1].lower() or "such"
                self.problems.append((path, f"{kind} files are not written to; use --sidecar +.xmp"))
                self.done[identity(path)] = False
            elif not overwrite and self._is_described(path):
                self.done[identity(path)] = False
                self._before += 1

    def write(self, records: Sequence[Record]) -> None:
        """Embed captions; a photo that cannot be written stays as it is, and the others are written.

        Raises:
            WriteError: the disk is full.
        """
        for record in records:
            if record.error is not None:
                continue
            path = record.path
            try:
                with open(path, "rb") as file:
                    data = file.read()
                caption = captions_of(record)[0]["caption"]
                changed = embed_description(data, caption, self.language, overwrite=self.overwrite)
                replace_file(path, [changed], sync=True)
            except OSError as error:
                if error.errno in FULL:
                    raise WriteError(f"{shown(path)}: cannot be written ({reason(error)}); it is as it was.") from error
                self.problems.append((path, f"cannot be written ({reason(error)})"))
            except DataError as error:
                self.problems.append((path, str(error).rstrip(".")))
            else:
                record.stamp = stamp_of(path)
                self.done[identity(path)] = False

    def notes(self) -> list[str]:
        """Nobody knows who wrote the descriptions that were there."""
        if not self._before:
            return []
        had = "photo had" if self._before == 1 else "photos had"
        return [f"{self._before} {had} a description already; --overwrite writes it anew"]

    def _is_described(self, path: str) -> bool:
        """Whether there is a description that is kept; what is wrong with a file is said when it is to be written."""
        try:
            with open(path, "rb") as file:
                return has_description(file.read(), self.language)
        except (OSError, DataError):
            return False
