"""Pictures of words and lines drawn from fonts, made to look photographed: training data from nothing but text.

Jaderberg et al. (2014) and Gupta et al. (2016) showed that readers trained on such pictures read real ones. Each
picture depends on the seed and its number alone, so a set need not be stored to be the same again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from captioner.data.fonts import Font, load_font
from captioner.errors import DataError
from captioner.vision.images import Pixels

_SIZES = (24, 32, 40)
_MARKS = ".,!?:;()[]\"'\u201e\u201c\u201d\u00ab\u00bb-"
_BEFORE = ("", "", "", "(", '"', "'", "#", "@", "-")
_AFTER = tuple(".,!?:;)'\"-&")
_ATTEMPTS = 20  # fonts and words that are tried until one can draw the other


class WordSource:
    """Texts to draw: words of a corpus in several cases, numbers, prices, and words in punctuation marks.

    Args:
        lines: of the corpus.
        characters: that may occur; words with others are left out.
        most: words a text has at most.

    Raises:
        DataError: no word has only these characters.
    """

    def __init__(self, lines: Iterable[str], characters: Iterable[str], most: int = 1) -> None:
        self.characters = frozenset(characters) | {" "}
        words = (word.strip(_MARKS) for line in lines for word in line.split())
        counts = Counter(word for word in words if word and self.characters.issuperset(word))
        if not counts:
            raise DataError("synthetic.text: no word there has only the characters that the reader is to know.")
        self.words = sorted(counts)
        weights = np.array([counts[word] for word in self.words], np.float64) ** 0.5  # rare words are words too
        self._bounds = np.cumsum(weights / weights.sum())
        self.most = most

    def draw(self, draw: np.random.Generator) -> str:
        """A text."""
        for _ in range(_ATTEMPTS):
            count = int(draw.integers(1, self.most + 1))
            text = " ".join(self._draw_word(draw) for _ in range(count))
            if self.characters.issuperset(text):
                return text
        return self.words[int(draw.integers(len(self.words)))]

    def _draw_word(self, draw: np.random.Generator) -> str:
        kind = draw.random()
        if kind < 0.12:
            return _number(draw)
        if kind < 0.16:  # letters in no known order, so that the network does not only know words
            return "".join(str(each) for each in draw.choice(sorted(self.characters - {" "}), int(draw.integers(1, 8))))
        if draw.random() < 0.5:
            word = self.words[int(draw.integers(len(self.words)))]
        else:
            word = self.words[min(int(np.searchsorted(self._bounds, draw.random())), len(self.words) - 1)]
        case = draw.random()
        word = word.upper() if case < 0.42 else word.capitalize() if case < 0.7 else word
        if draw.random() < 0.1:
            word = f"{draw.choice(_BEFORE)}{word}{draw.choice(_AFTER)}"
        return word


def _number(draw: np.random.Generator) -> str:
    digits = "".join(map(str, draw.integers(0, 10, int(draw.integers(1, 7)))))
    form = draw.random()
    if form < 0.55:
        return digits
    if form < 0.7:
        return f"{'$' if draw.random() < 0.6 else ''}{int(digits[:3])}.{int(draw.integers(100)):02}"
    if form < 0.8:
        return f"{int(digits[:2])}%"
    if form < 0.9:
        return f"{int(draw.integers(1, 13))}:{int(draw.integers(60)):02}"
    return f"{digits[:3]}-{int(draw.integers(10_000)):04}"


class LinePainter:
    """Draws texts in a font on a background, and then does to them what a camera does.

    Args:
        fonts: to choose from.
        source: of the texts.
        seed: of everything random.
    """

    def __init__(self, fonts: Sequence[Font], source: WordSource, seed: int) -> None:
        self.fonts = fonts
        self.source = source
        self.seed = seed

    def __call__(self, number: int) -> tuple[Pixels, str]:
        """The RGB picture (H, W, 3) of this number, and its text.

        Raises:
            DataError: no font draws the texts.
        """
        draw = np.random.default_rng([self.seed, number])
        for _ in range(_ATTEMPTS):
            font, text = self.fonts[int(draw.integers(len(self.fonts)))], self.source.draw(draw)
            if font.capitals:
                text = text.upper()
            if not font.draws(text):
                continue
            mask = _write(font, text, draw)
            if mask is not None:
                return _photograph(_paint(_bend(mask, draw), draw), draw), text
        raise DataError("synthetic.fonts: no font there draws the texts' characters; name other fonts.")


def _write(font: Font, text: str, draw: np.random.Generator) -> Pixels | None:
    """The ink (H, W) of a text with a margin, 0 to 255; None where the font draws nothing."""
    size = _SIZES[int(draw.integers(len(_SIZES)))]
    face = load_font(font.path, size)
    stroke = int(draw.random() < 0.12)
    spacing = round(size * max(-0.04, draw.normal(0, 0.06))) if draw.random() < 0.4 else 0
    left, top, right, bottom = face.getbbox(text, stroke_width=stroke)
    width, height = int(right - left + max(0, spacing) * len(text)), int(bottom - top)
    if width < 2 or height < 2 or width > 100 * size:
        return None
    image = Image.new("L", (width + size, height + size))
    pen = ImageDraw.Draw(image)
    x, y = size / 2 - left, size / 2 - top
    if spacing:
        for character in text:
            pen.text((x, y), character, 255, font=face, stroke_width=stroke)
            x += face.getlength(character) + spacing
    else:
        pen.text((x, y), text, 255, font=face, stroke_width=stroke)
    box = image.getbbox()
    if box is None:
        return None
    return _margins(np.asarray(image)[box[1] : box[3], box[0] : box[2]], draw)


def _margins(ink: Pixels, draw: np.random.Generator) -> Pixels:
    """A word is hardly ever cut out exactly: some ground around it, now and then a little of it lost."""
    height = ink.shape[0]
    sides = (draw.gamma(1.5, 0.09, 4) - 0.04).clip(-0.03, 0.5) * height
    top, bottom, left, right = (round(float(side)) for side in sides)
    # letters without height, such as a dash, stand in a line of usual height
    short = max(0, 14 - height)
    padded = np.pad(ink, ((max(top, 0) + short, max(bottom, 0) + short), (max(left, 0), max(right, 0))))
    rows, columns = padded.shape
    return padded[max(-top, 0) : rows - max(-bottom, 0), max(-left, 0) : columns - max(-right, 0)]


def _bend(ink: Pixels, draw: np.random.Generator) -> Pixels:
    """Slant, turn, foreshorten and bow."""
    height, width = ink.shape
    if draw.random() < 0.12:
        bow = draw.normal(0, 0.12) * height
        spare = int(abs(bow)) + 1
        ink = np.pad(ink, ((spare, spare), (0, 0)))
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(len(ink), dtype=np.float32))
        across = (2 * x / max(width - 1, 1) - 1) ** 2
        ink = np.asarray(cv2.remap(ink, x, y + np.float32(bow) * across, cv2.INTER_LINEAR), np.uint8)
        height = len(ink)
    if draw.random() < 0.6:
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        reach = np.array([min(0.6 * height, 0.12 * width), 0.12 * height], np.float32)
        moved = corners + draw.normal(0, 0.5, (4, 2)).astype(np.float32) * reach
        moved[:, 0] += np.array([1, 1, -1, -1], np.float32) * draw.normal(0, 0.12) * height  # slant
        moved[:, 1] += np.array([-1, 1, 1, -1], np.float32) * draw.normal(0, 0.02) * min(width, 4 * height)  # turn
        moved -= moved.min(axis=0)
        size = np.ceil(moved.max(axis=0)).astype(int)
        matrix = cv2.getPerspectiveTransform(corners, moved)
        ink = np.asarray(
            cv2.warpPerspective(ink, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR), np.uint8
        )
    return ink


def _paint(ink: Pixels, draw: np.random.Generator) -> NDArray[np.float32]:
    """Colours for ink and ground, shades over both, sometimes an outline, a shadow, or what stands beside the word."""
    height, width = ink.shape
    ground, colour = _colours(draw)
    canvas = _cloud(height, width, draw, draw.uniform(0, 30)) + ground
    if draw.random() < 0.2:  # an edge of what the word stands on
        reach, side = int(draw.integers(1, 2 + height // 8)), int(draw.integers(4))
        where = (np.s_[:reach, :], np.s_[-reach:, :], np.s_[:, :reach], np.s_[:, -reach:])[side]
        canvas[where] = draw.uniform(0, 255, 3)
    if draw.random() < 0.15:
        shift = 1 + int(draw.integers(2))
        shadow = np.roll(ink, (shift, shift * (1 if draw.random() < 0.5 else -1)), (0, 1))
        canvas += _share(shadow) * (draw.uniform(0, 255) - canvas) * np.float32(draw.uniform(0.3, 1))
    if draw.random() < 0.12:
        around = np.asarray(cv2.dilate(ink, np.ones((3, 3), np.uint8)), np.uint8)
        canvas += _share(around) * (draw.uniform(0, 255, 3).astype(np.float32) - canvas)
    inside = _cloud(height, width, draw, draw.uniform(0, 20)) + colour
    return canvas + _share(ink) * (inside - canvas) * np.float32(draw.uniform(0.75, 1.0))


def _share(ink: Pixels) -> NDArray[np.float32]:
    return np.asarray(ink[:, :, None], np.float32) / np.float32(255)


def _colours(draw: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A ground and an ink that differ enough in brightness to be read in grey."""
    weights = np.array([0.299, 0.587, 0.114])
    while True:
        ground, ink = draw.uniform(0, 255, (2, 3))
        if draw.random() < 0.4:  # much that is written is black, white or grey
            ground[:] = draw.choice([draw.uniform(0, 50), draw.uniform(200, 255)])
        if draw.random() < 0.4:
            ink[:] = draw.choice([draw.uniform(0, 50), draw.uniform(205, 255)])
        if abs((ground - ink) @ weights) > 35:
            return ground.astype(np.float32), ink.astype(np.float32)


def _cloud(height: int, width: int, draw: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """Smooth random shades (height, width, 3)."""
    coarse = draw.normal(0, strength, (2 + int(draw.integers(4)), 2 + int(draw.integers(8)), 1)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.asarray(smooth, np.float32).reshape(height, width, 1), 3, axis=2)


def _photograph(canvas: NDArray[np.float32], draw: np.random.Generator) -> Pixels:
    """Blur, few pixels, noise and JPEG's artefacts."""
    if draw.random() < 0.35:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), draw.uniform(0.4, 1.6)), np.float32)
    elif draw.random() < 0.1:  # a hand that moved
        length = int(draw.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        canvas = np.asarray(cv2.filter2D(canvas, -1, kernel), np.float32)
    if draw.random() < 0.5:
        high = int(draw.integers(12, 40))
        wide = max(4, round(canvas.shape[1] * high / canvas.shape[0]))
        canvas = np.asarray(cv2.resize(canvas, (wide, high), interpolation=cv2.INTER_AREA), np.float32)
    if draw.random() < 0.4:
        canvas = canvas + draw.normal(0, draw.uniform(1, 12), (*canvas.shape[:2], 1)).astype(np.float32)
    pixels = canvas.clip(0, 255).astype(np.uint8)
    if draw.random() < 0.3:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(draw.integers(20, 80))])
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return pixels
