"""Errors meant for people: one sentence that says what was wrong, with which file or key, and what to do."""


class CaptionerError(Exception):
    """Base of all errors a user can cause and mend; the command line prints them without a traceback, status 2."""


class ConfigError(CaptionerError):
    """A configuration file or override has an unknown key or a wrong value."""


class DataError(CaptionerError):
    """A data set (captions, photos, clips, text) is missing, malformed or empty."""


class ModelError(CaptionerError):
    """A model folder, weights file or model name cannot be used."""


class ImageError(CaptionerError):
    """One image cannot be read; folder commands report it in its own row and go on."""


class VideoError(CaptionerError):
    """One video file cannot be read; folder commands report it in its own row and go on."""


class UsageError(CaptionerError):
    """The command line asks for something that cannot be done."""
