"""Subtitles of one clip, as SubRip (.srt) or WebVTT (.vtt) files."""

import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import Journal, Source, stamp_of
from captioner.pipelines.folder.outputs import Record, Writer
from captioner.pipelines.folder.row_file import WriteError, reason, replace_file
from captioner.pipelines.media import may_be_clip

SUFFIXES = (".srt", ".vtt")
_HEADER = "WEBVTT\n\n"
_CLIP = "clip"


class Subtitles(Writer):
    """Writes the segments of a clip when they are all there; a clip that failed gets no file.

    Args:
        path: of the file; `.vtt` is WebVTT, anything else SubRip.
        inputs: the one clip.
        overwrite: replace a file that exists.
        made_by: what makes the subtitles, see `made.made_by`; None if nobody will ask.

    Raises:
        UsageError: the inputs are not one clip, or the file cannot be written, is something else, or was made of
            another clip or otherwise.
    """

    keeps_failures = False

    def __init__(
        self, path: str, inputs: Sequence[str], *, overwrite: bool, made_by: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.path = path
        self.journal = None if made_by is None else Journal(path, made_by)
        if len(inputs) != 1 or not may_be_clip(inputs[0]):
            here = f"here are {len(inputs)} inputs" if len(inputs) != 1 else f"{shown(inputs[0])} is no clip"
            raise UsageError(f"{shown(path)}: subtitles are of one clip, and {here}; .jsonl holds any number.")
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise UsageError(f"{shown(path)}: cannot be written (no folder {shown(folder)} that can be written).")
        if not overwrite and self._exists():
            self._check(inputs[0])
            self.done[identity(inputs[0])] = False

    def write(self, records: Sequence[Record]) -> None:
        """Write the file, whole or not at all."""
        for record in records:
            if record.error is not None:
                continue
            try:
                replace_file(self.path, [subtitles_of(record, vtt=self.path.lower().endswith(".vtt")).encode()])
            except OSError as error:
                raise WriteError(f"{shown(self.path)}: cannot be written ({reason(error)}).") from error
            if self.journal is not None:
                source = Source(identity(record.path), record.stamp or stamp_of(record.path))
                self.journal.begin([(_CLIP, source)])
                self.journal.close()
            self.done[identity(record.path)] = False

    def _check(self, clip: str) -> None:
        """See that the subtitles that are there are of this clip as it is, made as they would be now."""
        if self.journal is None:
            return
        self.journal.check()
        source = self.journal.take(_CLIP)
        if source is None:
            return
        if source.location != identity(clip) and not source.has_moved_to(clip):
            raise UsageError(
                f"{shown(self.path)}: holds the subtitles of {shown(source.location)}; choose another output, or "
                "--overwrite."
            )
        if source.has_changed():
            raise UsageError(
                f"{shown(clip)} has changed since {shown(self.path)} was made; --overwrite makes it again."
            )

    def _exists(self) -> bool:
        """Whether the file is there already, as a run that ended left it."""
        try:
            with open(self.path, encoding="utf-8") as file:
                start = file.read(20)
        except FileNotFoundError:
            return False
        except (OSError, UnicodeDecodeError):
            start = "?"
        if not start:
            return False
        if not start.startswith((_HEADER, "1\n")):
            raise UsageError(f"{shown(self.path)}: holds something else than subtitles; choose another output.")
        return True


def subtitles_of(record: Record, *, vtt: bool) -> str:
    """A clip's segments as WebVTT or SubRip."""
    blocks = []
    for number, segment in enumerate(record.fields["segments"], 1):
        start, end = (timestamp(segment[key], "." if vtt else ",") for key in ("start", "end"))
        # WebVTT has marks and references as HTML has them, SubRip has not
        text = html.escape(segment["caption"], quote=False) if vtt else segment["caption"]
        blocks.append(f"{number}\n{start} --> {end}\n{text}\n")
    return (_HEADER if vtt else "") + "\n".join(blocks)


def timestamp(seconds: float, point: str) -> str:
    """A time as subtitles write it: hours, minutes, seconds and milliseconds."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"
