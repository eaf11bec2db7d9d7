"""Where a reader's training lines come from: pictures with their texts, and drawings of words in fonts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from captioner.data.fonts import find_fonts
from captioner.data.lines import Line, LineSet
from captioner.data.synthetic_lines import LinePainter, WordSource
from captioner.data.text import read_text
from captioner.decoding.ctc import columns_needed
from captioner.errors import ConfigError, DataError, ImageError
from captioner.models.read_network import count_columns
from captioner.text.alphabet import Alphabet, normalise
from captioner.training.read.batches import Example, LineItems
from captioner.training.read.config import ReadTrainingConfig, SyntheticLines
from captioner.vision.images import Pixels, read_image

VALIDATED = 500  # drawings to validate on where there are no pictures
_FAR = 2**40  # their numbers begin here, where no training comes
_ATTEMPTS = 20  # drawings that are tried for one that fits

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sources:
    """What a training reads.

    Attributes:
        alphabet: the characters that are learnt.
        learnt: lines of pictures to learn from.
        held_out: lines of pictures to validate on; characters of theirs outside the alphabet count as mistakes.
        painter: draws lines, or None.
    """

    config: ReadTrainingConfig
    alphabet: Alphabet
    learnt: tuple[Line, ...]
    held_out: tuple[Line, ...]
    painter: LinePainter | None

    @classmethod
    def read(cls, config: ReadTrainingConfig, say: Say, alphabet: Alphabet | None = None) -> "Sources":
        """Read what a configuration names.

        Args:
            config: of the training.
            say: hears what is left out and why.
            alphabet: of the reader that the training goes on from, if it does.

        Raises:
            DataError: no line, font or word can be used.
            ConfigError: the alphabet cannot be told, or is not that of the reader.
        """
        learnt, held_out = _read_lines(config, say)
        if alphabet is None:
            alphabet = _alphabet(config, learnt)
        elif config.data.characters is not None and _alphabet(config, None).characters != alphabet.characters:
            raise ConfigError(f"data.characters: {config.init} brings its alphabet along; leave data.characters out.")
        if learnt is not None:
            known = len(learnt.problems)
            learnt = learnt.within(alphabet, remove=config.data.strange == "remove")
            learnt = _fitting(learnt, config, alphabet, say, known)
        synthetic = config.data.synthetic
        painter = None if synthetic is None else _painter(config, synthetic, alphabet, say)
        return cls(config, alphabet, learnt.lines if learnt else (), held_out.lines if held_out else (), painter)

    def items(self, seed: int) -> LineItems:
        """The lines of every epoch; `seed` is of what is drawn."""
        config, synthetic = self.config, self.config.data.synthetic
        return LineItems(
            [config.picture.width(*line.size) for line in self.learnt if line.size],
            lambda place: self.example(self.learnt[place]),
            config.stages.read.augmentation,
            seed,
            repeat=config.data.repeat,
            painter=self.drawing if self.painter else None,
            drawings=synthetic.count if synthetic else 0,
            reuse=synthetic.reuse if synthetic else 1,
        )

    def validation(self) -> tuple[list[str], list[Pixels]]:
        """The texts and inputs that are validated on: lines held out, or drawings that are never learnt from."""
        if self.held_out:
            return [line.text for line in self.held_out], [self.example(line)[0] for line in self.held_out]
        drawings = [self.drawing(_FAR + number) for number in range(VALIDATED)]
        return [self.alphabet.decode(ids) for _, ids in drawings], [pixels for pixels, _ in drawings]

    def example(self, line: Line) -> Example:
        """The input and the ids of a line."""
        return self.config.picture(read_image(line.path)), self.alphabet.encode(line.text)

    def drawing(self, number: int) -> Example:
        """The input and the ids of a drawing, or of one of the next that has columns enough and shows something."""
        assert self.painter is not None
        for attempt in range(_ATTEMPTS):
            picture, text = self.painter(number * _ATTEMPTS + attempt)
            ids = self.alphabet.encode(text)
            try:
                pixels = self.config.picture(picture)
            except ImageError:  # ink and ground have come out alike
                continue
            if columns_needed(ids) <= count_columns(self.config.network, pixels.shape[1]):
                return pixels, ids
        raise DataError("data.synthetic: drawings come out too narrow for their texts; raise picture.stretch.")


def _read_lines(config: ReadTrainingConfig, say: Say) -> tuple[LineSet | None, LineSet | None]:
    data = config.data
    learnt = None
    if data.synthetic is None or data.train is not None:
        learnt = _measured(data.root / (data.train or Path()), config, say)
    if data.val is not None:
        held_out = _measured(data.root / data.val, config, say)
    elif learnt is not None:
        learnt, held_out = learnt.hold_out(data.hold_out, data.group, config.seed)
    else:
        return None, None
    if learnt is not None:
        known = len(learnt.problems)
        learnt = learnt.without_copies_of(held_out)
        for problem in learnt.problems[known:]:
            say(problem)
    return learnt, held_out


def _measured(place: Path, config: ReadTrainingConfig, say: Say) -> LineSet:
    lines = LineSet.read(place).readable(config.picture)
    for problem in lines.problems:
        say(problem)
    return lines


def _alphabet(config: ReadTrainingConfig, learnt: LineSet | None) -> Alphabet:
    data = config.data
    if data.characters is not None:
        return Alphabet(list(dict.fromkeys(normalise(data.characters).replace(" ", "") + " ")))
    if learnt is not None:
        return Alphabet.build([line.text for line in learnt.lines], data.min_count)
    raise ConfigError("data.characters: name the characters to learn, since no pictures' texts say which there are.")


def _fitting(lines: LineSet, config: ReadTrainingConfig, alphabet: Alphabet, say: Say, known: int) -> LineSet:
    """The lines whose texts have columns enough: CTC's loss of the others is infinite."""
    kept, problems = [], list(lines.problems)
    for line in lines.lines:
        assert line.size is not None
        columns = count_columns(config.network, config.picture.width(*line.size))
        needed = columns_needed(alphabet.encode(line.text))
        if needed <= columns:
            kept.append(line)
        else:
            problems.append(
                f"{line.path}: its text needs {needed} columns, but the picture has {columns}; the line is left out. "
                "Is it the text of another line?"
            )
    for problem in problems[known:]:
        say(problem)
    if not kept:
        raise DataError(f"{lines.source}: every text is too long for its picture; do the texts belong to the pictures?")
    return LineSet(tuple(kept), lines.source)


def _painter(config: ReadTrainingConfig, synthetic: SyntheticLines, alphabet: Alphabet, say: Say) -> LinePainter:
    root = config.data.root
    characters = set(alphabet.characters)
    fonts = find_fonts([root / place for place in synthetic.fonts], characters, synthetic.exclude)
    for problem in fonts.problems:
        say(problem)
    text = (line for path in synthetic.text for line in read_text(root / path))
    return LinePainter(fonts.fonts, WordSource(text, characters, synthetic.words), config.seed)
