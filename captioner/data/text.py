"""Plain text, one sentence a line, as language models read it."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from captioner.data.files import read_member, read_unpacked
from captioner.data.tables import decoded
from captioner.errors import DataError


def read_text(path: Path) -> list[str]:
    """The lines of a text file that hold anything, without the white space around them.

    Args:
        path: UTF-8 text, possibly gzipped (`.gz`), or such a file inside a zip file, named as if the zip were a folder:
            `ptb.zip/ptb.train.txt`.

    Raises:
        DataError: there is no such file, it is not UTF-8, or it holds no words.
    """
    try:
        text = decoded(_read(path), path)
    except IsADirectoryError:
        raise DataError(f"{path}: a folder, not a text file; name the files in it.") from None
    except (OSError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path}: cannot be read as text ({reason}).") from error
    # not str.splitlines, which also cuts at characters that occur inside sentences
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    kept = [line for line in lines if line]
    if not kept:
        raise DataError(f"{path}: holds no words.")
    return kept


def _read(path: Path) -> bytes:
    archive = next((folder for folder in path.parents if folder.suffix == ".zip" and folder.is_file()), None)
    if archive is not None:
        with zipfile.ZipFile(archive) as file:
            name = path.relative_to(archive).as_posix()
            if name not in file.namelist():
                raise DataError(f"{archive}: holds no {name}, but {', '.join(_texts(file)) or 'no text'}.")
            return read_member(file, name)
    if path.suffix == ".zip" and path.is_file():
        with zipfile.ZipFile(path) as file:
            example = next(_texts(file), "FILE.txt")
        raise DataError(f"{path}: a zip file; name the text inside it, such as {path / example}.")
    return read_unpacked(path)


def _texts(file: zipfile.ZipFile) -> Iterator[str]:
    return (name for name in file.namelist() if name.endswith(".txt") and not name.startswith("__MACOSX"))
