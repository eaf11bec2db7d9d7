"""Files beside the photos and clips that they are of: texts, XMP, and subtitles."""

import errno
import os
import unicodedata
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from captioner.data.packed import split
from captioner.data.xmp import all_descriptions, described, read_description, with_description
from captioner.errors import DataError, UsageError
from captioner.pipelines.caption.subtitles import SUFFIXES as SUBTITLES
from captioner.pipelines.caption.subtitles import subtitles_of
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.outputs import Record, Writer
from captioner.pipelines.folder.row_file import WriteError, reason, replace_file
from captioner.pipelines.gallery.rows import captions_of
from captioner.pipelines.media import may_be_clip
from captioner.vision.camera_formats import RAW_SUFFIXES
from captioner.vision.images import SUFFIXES
from captioner.vision.motion_photo import is_motion
from captioner.vision.video import VIDEO_SUFFIXES

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors after which no other file can be written either."""


class Sidecars(Writer):
    """A file beside each image or clip; one that failed gets none, and what is there is kept, whoever wrote it.

    Args:
        inputs: the images and clips.
        form: a suffix: `.txt` makes `a.txt` of `a.jpg`, but `a.jpg.txt` where another image or clip in its folder
            would want `a.txt` too; a RAW file and the photo of its name are a pair and share one. `+.txt` always makes
            `a.jpg.txt`.
        overwrite: write anew what is there.

    Raises:
        UsageError: a folder cannot be written, or two inputs would share a file.
    """

    keeps_failures = False

    def __init__(self, inputs: Sequence[str], form: str, *, overwrite: bool) -> None:
        super().__init__()
        self.form, self.overwrite = form, overwrite
        packed = next((path for path in inputs if split(path) is not None), None)
        if packed is not None:
            raise UsageError(f"{shown(packed)}: --sidecar cannot write into an archive; use -o FILE.")
        self.files = sidecars(inputs, form)
        self._before = self._older = 0
        self._sharing: defaultdict[str, list[str]] = defaultdict(list)
        for path, file in self.files.items():
            self._sharing[identity(file)].append(path)
            first = self._sharing[identity(file)][0]
            if first != path and not _is_pair(first, path):
                raise UsageError(f"{shown(first)} and {shown(path)} would share {shown(file)}; rename one of them.")
            if not self.wants(path):
                self.done[identity(path)] = False
            elif not overwrite and self.is_there(file):
                self.done[identity(path)] = False
                self._before += 1
                self._older += os.path.exists(path) and os.path.getmtime(path) > os.path.getmtime(file)
        for folder in sorted({os.path.dirname(path) or "." for path in inputs}):
            if os.path.isdir(folder) and not os.access(folder, os.W_OK):
                raise UsageError(f"{shown(folder)}: the folder cannot be written, which --sidecar needs; use -o FILE.")

    def wants(self, path: str) -> bool:
        """Whether such an input gets a file; the clip in a motion photo has no place beside it."""
        return not is_motion(path)

    def is_there(self, file: str) -> bool:
        """Whether a file has all that it should have."""
        # a process killed between making the file and writing it leaves it empty
        return os.path.isfile(file) and os.path.getsize(file) > 0

    @abstractmethod
    def content(self, record: Record, file: str) -> bytes | None:
        """What to write; None if the file is right as it is.

        Raises:
            DataError: what is there cannot be added to.
        """

    def write(self, records: Sequence[Record]) -> None:
        """Write the files; one that cannot be written stays as it is, and the others are written.

        Raises:
            WriteError: the disk is full.
        """
        for record in records:
            if record.error is not None:
                continue
            file = self.files[record.path]
            try:
                content = self.content(record, file)
                if content is not None:
                    replace_file(file, [content])
            except OSError as error:
                if error.errno in FULL:
                    raise WriteError(f"{shown(file)}: cannot be written ({reason(error)}).") from error
                self.problems.append((file, f"cannot be written ({reason(error)})"))
            except DataError as error:
                self.problems.append((file, str(error).removeprefix(f"{file}: ").rstrip(".")))
            else:
                self.done.update({identity(path): False for path in self._sharing[identity(file)]})

    def notes(self) -> list[str]:
        """Nobody knows what made the files that were there; they may be a person's."""
        if not self._before:
            return []
        older = f", {self._older} of them older than what they are of" if self._older else ""
        files = f"{self.form.lstrip('+')} {'file was' if self._before == 1 else 'files were'}"
        return [f"{self._before} {files} there already{older}; --overwrite writes them anew"]


class TextSidecars(Sidecars):
    """A text file with the captions, one a line.

    Args:
        inputs: the images and clips.
        form: see `Sidecars`; any suffix, such as `.txt` or `.caption`.
        overwrite: write anew what is there.
        append: add the captions to the text that is there, behind a comma, unless it ends in them already.

    Raises:
        UsageError: see `Sidecars`.
    """

    def __init__(self, inputs: Sequence[str], form: str, *, overwrite: bool, append: bool = False) -> None:
        self.append = append
        super().__init__(inputs, form, overwrite=overwrite)

    def is_there(self, file: str) -> bool:
        """Whether there is a text that is not to be added to."""
        return not self.append and super().is_there(file)

    def content(self, record: Record, file: str) -> bytes | None:
        """The captions, perhaps behind what is there."""
        captions = [caption["caption"] for caption in captions_of(record)]
        if self.append and os.path.isfile(file):
            with open(file, "rb") as opened:
                before = opened.read().rstrip()
            added = ", ".join(captions).encode()
            if before:
                return None if before.endswith(added) else before + b", " + added + b"\n"
        return "".join(f"{caption}\n" for caption in captions).encode()


class XmpSidecars(Sidecars):
    """An XMP file, as photo libraries read it, whose `dc:description` is the caption; all else in it stays.

    A description that is there is kept, whoever wrote it, and one in another language gets company.

    Args:
        inputs: the images and clips.
        form: `.xmp` for `a.xmp`, `+.xmp` for `a.jpg.xmp`.
        overwrite: replace descriptions that are there.
        language: of the captions.

    Raises:
        UsageError: see `Sidecars`.
    """

    def __init__(self, inputs: Sequence[str], form: str, *, overwrite: bool, language: str) -> None:
        self.language = language
        super().__init__(inputs, form, overwrite=overwrite)

    def is_there(self, file: str) -> bool:
        """Whether there is a description in this language."""
        if not super().is_there(file):
            return False
        try:
            return described(read_description(_read(file), file), self.language)
        except (OSError, DataError):  # said when it is to be written
            return False

    def content(self, record: Record, file: str) -> bytes | None:
        """The XMP with the caption."""
        before = _read(file) if super().is_there(file) else None
        there = {} if before is None or self.overwrite else read_description(before, file)
        caption = captions_of(record)[0]["caption"]
        return with_description(before, all_descriptions(there, caption, self.language), file)


class SubtitleSidecars(Sidecars):
    """Subtitles beside each clip; images get none.

    Args:
        inputs: the images and clips.
        form: `.srt`, `.vtt`, or the same with `+`.
        overwrite: write anew what is there.

    Raises:
        UsageError: there is no clip, or see `Sidecars`.
    """

    def __init__(self, inputs: Sequence[str], form: str, *, overwrite: bool) -> None:
        if not any(map(may_be_clip, inputs)):
            raise UsageError(f"--sidecar {form}: subtitles are of clips, and there is none.")
        super().__init__(inputs, form, overwrite=overwrite)

    def wants(self, path: str) -> bool:
        """Whether it is a clip in a file of its own."""
        return may_be_clip(path) and super().wants(path)

    def content(self, record: Record, file: str) -> bytes | None:
        """The subtitles."""
        return subtitles_of(record, vtt=file.lower().endswith(".vtt")).encode()


def sidecar_writer(
    inputs: Sequence[str], form: str, *, overwrite: bool, append: bool, language: str
) -> Sidecars:
    """The writer for a form.

    Raises:
        UsageError: it is none, or see `Sidecars`.
    """
    suffix = form.lstrip("+")
    if not suffix.startswith(".") or len(suffix) < 2 or os.sep in suffix or form.count("+") > 1:
        raise UsageError(
            f"--sidecar {shown(form)}: give .txt (a.txt for a.jpg), +.txt (a.jpg.txt), another suffix for texts, such "
            "as .caption, or .xmp, .srt or .vtt."
        )
    if suffix.lower() in SUFFIXES | VIDEO_SUFFIXES:
        raise UsageError(f"--sidecar {shown(form)}: is what images or clips are called; choose another suffix.")
    if suffix.lower() == ".xmp":
        return XmpSidecars(inputs, form, overwrite=overwrite, language=language)
    if suffix.lower() in SUBTITLES:
        return SubtitleSidecars(inputs, form, overwrite=overwrite)
    return TextSidecars(inputs, form, overwrite=overwrite, append=append)


def sidecars(inputs: Sequence[str], form: str = ".txt") -> dict[str, str]:
    """The file beside each input; see `Sidecars`."""
    suffix = form.lstrip("+")
    if form.startswith("+"):
        return {path: path + suffix for path in inputs}
    wanted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    names_in: defaultdict[str, set[str]] = defaultdict(set)
    for path in inputs:
        names_in[os.path.dirname(path)].add(os.path.basename(path))
    for folder, names in names_in.items():
        with suppress(OSError):
            names.update(name for name in os.listdir(folder or ".") if _suffix(name) in SUFFIXES | VIDEO_SUFFIXES)
        for name in names:
            wanted[folder, _stem(name)].add(name)
    files = {}
    given = set(inputs)
    for path in inputs:
        folder = os.path.dirname(path)
        names = wanted[folder, _stem(os.path.basename(path))]
        if _suffix(path) in SUFFIXES:  # the clip of a Live Photo wants none, unless it is captioned too
            names = {name for name in names if _suffix(name) in SUFFIXES or os.path.join(folder, name) in given}
        alone = len(names) == 1 or (len(names) == 2 and _is_pair(*names))
        files[path] = (os.path.splitext(path)[0] if alone else path) + suffix
    return files


def _is_pair(one: str, other: str) -> bool:
    """Whether one is the RAW file of the other photo."""
    raw = [_suffix(each) in RAW_SUFFIXES for each in (one, other)]
    return raw[0] != raw[1] and all(_suffix(each) in SUFFIXES for each in (one, other))


def _stem(name: str) -> str:
    """A name as a system that knows no capitals and one Unicode form sees it, without its suffix."""
    return unicodedata.normalize("NFC", os.path.splitext(name)[0]).casefold()


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
