"""Captions for images and clips from recurrent networks, trained and scored on your own machine.

The public names are imported on first use, so that `import captioner` and `captioner --help` stay fast.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captioner.models.base import load
    from captioner.models.caption import Caption, Captioner

__version__ = version("captioner")
__all__ = ["Caption", "Captioner", "load"]

_HOMES = {
    "Caption": "captioner.models.caption",
    "Captioner": "captioner.models.caption",
    "load": "captioner.models.base",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'captioner' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
