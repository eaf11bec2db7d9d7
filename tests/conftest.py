"""What all tests share."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep converted networks away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


COLOURS = {"red": (40, 40, 220), "blue": (220, 80, 40)}


def _draw_clip(path, colour="red", seed=0, frames=10, rate=10.0, size=(64, 96)):
    draw = np.random.default_rng(seed)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, size[::-1])
    place = draw.uniform(0, 1, 2) * (np.array(size) - 24)
    for _ in range(frames):
        picture = draw.integers(150, 200, (*size, 3), np.uint8)
        place = (place + draw.uniform(-6, 6, 2)).clip(0, np.array(size) - 24)
        top, left = place.astype(int)
        picture[top : top + 24, left : left + 24] = COLOURS[colour]
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture(scope="session")
def draw_clip():
    """Writes a clip in which a coloured square wanders over a noisy ground; returns its path."""
    return _draw_clip


@pytest.fixture(scope="session")
def squares_clips(tmp_path_factory):
    """A folder of ten clips, with a sub-folder for each of the classes blue and red."""
    root = tmp_path_factory.mktemp("clips")
    for colour in COLOURS:
        (root / colour).mkdir()
        for number in range(5):
            _draw_clip(root / colour / f"{number}.avi", colour, seed=10 * number + len(colour))
    return root
