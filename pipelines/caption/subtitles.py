"""Subtitles of one clip, as SubRip (.srt) or WebVTT (.vtt) files."""

import os
from collections.abc import Sequence

from captioner.errors import UsageError
from captioner.pipelines.caption.media import is_clip
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.outputs import Record, Writer
from captioner.pipelines.folder.row_file import WriteError, reason

SUFFIXES = (".srt", ".vtt")
_HEADER = "WEBVTT\n\n"


class Subtitles(Writer):
    """Writes the segments of a clip when they are all there; a clip that failed gets no file.

    Args:
        path: of the file; `.vtt` is WebVTT, anything else SubRip.
        inputs: the one clip.
        overwrite: replace a file that exists.

    Raises:
        UsageError: the inputs are not one clip, or the file cannot be written or is something else.
    """

    def __init__(self, path: str, inputs: Sequence[str], *, overwrite: bool) -> None:
        super().__init__()
        self.path = path
        if len(inputs) != 1 or not is_clip(inputs[0]):
            here = f"here are {len(inputs)} inputs" if len(inputs) != 1 else f"{shown(inputs[0])} is no clip"
            raise UsageError(f"{shown(path)}: subtitles are of one clip, and {here}; .jsonl holds any number.")
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise UsageError(f"{shown(path)}: cannot be written (no folder {shown(folder)} that can be written).")
        if not overwrite and self._exists():
            self.done[identity(inputs[0])] = False

    def write(self, records: Sequence[Record]) -> None:
        """Write the file, whole or not at all."""
        for record in records:
            if record.error is not None:
                continue
            part = f"{self.path}.part"
            try:
                with open(part, "w", encoding="utf-8", newline="\n") as file:
                    file.write(self._text(record))
                os.replace(part, self.path)
            except OSError as error:
                if os.path.exists(part):
                    os.unlink(part)
                raise WriteError(f"{shown(self.path)}: cannot be written ({reason(error)}).") from error
            self.done[identity(record.path)] = False

    def _text(self, record: Record) -> str:
        vtt = self.path.lower().endswith(".vtt")
        blocks = []
        for number, segment in enumerate(record.fields["segments"], 1):
            start, end = (timestamp(segment[key], "." if vtt else ",") for key in ("start", "end"))
            blocks.append(f"{number}\n{start} --> {end}\n{segment['caption']}\n")
        return (_HEADER if vtt else "") + "\n".join(blocks)

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


def timestamp(seconds: float, point: str) -> str:
    """A time as subtitles write it: hours, minutes, seconds and milliseconds."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"
