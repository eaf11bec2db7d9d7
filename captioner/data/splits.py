"""The parts of a data set, under whatever names files and folders give them."""

import re
from typing import Literal

Split = Literal["train", "val", "test"]

SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "restval"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What folders, files and columns call them, in lower case; `restval` is what Karpathy adds to COCO's training part."""


def split_in(name: str) -> Split | None:
    """The split that a name tells, such as `captions_val2014`, `trainlist01` and `train-00012`; None if none."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    words = [re.sub("(?<=.)(list|images|set|split|data)$", "", word) for word in words]
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else None
