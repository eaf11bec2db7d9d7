"""Captions for images and clips from recurrent networks, trained and scored on your own machine.

The public names are imported on first use, so that `import captioner` and `captioner --help` stay fast.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captioner.models.base import load
    from captioner.models.caption import Captioner
    from captioner.models.caption_writer import Caption

# An installation has `pipelines` inside this package. In a checkout it lies beside it, where a Python that is started
# in the root would otherwise not find it.
_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "pipelines" / "cli.py").is_file():
    __path__.append(str(_ROOT))

try:
    __version__ = version("captioner")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+checkout"
__all__ = ["Caption", "Captioner", "load"]

_HOMES = {
    "Caption": "captioner.models.caption_writer",
    "Captioner": "captioner.models.caption",
    "load": "captioner.models.base",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'captioner' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
