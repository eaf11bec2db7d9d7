"""The forms in which people and other programs keep captions of photos and clips, all read into one.

`find_captions` says which form a file or folder has, and what it found there.
"""

from captioner.data.caption_forms.entries import Entry, FoundCaptions
from captioner.data.caption_forms.folders import find_captions

__all__ = ["Entry", "FoundCaptions", "find_captions"]
