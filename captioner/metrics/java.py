"""METEOR and SPICE through pycocoevalcap, which runs Java programs; an extra, `pip install "captioner[java]"`."""

import contextlib
import importlib.util
import io
import shutil
import subprocess
from collections.abc import Sequence

import numpy as np

from captioner.errors import UsageError
from captioner.metrics.ngrams import Floats


def check(name: str) -> None:
    """Make sure that a metric can run here.

    Raises:
        UsageError: pycocoevalcap or Java is missing.
    """
    if importlib.util.find_spec("pycocoevalcap") is None:
        raise UsageError(f'{name} needs pycocoevalcap; get it with: pip install "captioner[java]".')
    if shutil.which("java") is None:
        raise UsageError(f"{name} needs Java, and there is no java on the PATH; install a Java runtime (8 to 17).")


def score(name: str, lines: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, Floats]:
    """Score tokenised captions.

    Args:
        name: meteor or spice.
        lines: N captions, each a line of tokens.
        references: the references of each, lines of tokens.

    Returns:
        the score of the set and (N,) scores of its captions.

    Raises:
        UsageError: the program failed.
    """
    hypotheses = {number: [line] for number, line in enumerate(lines)}
    gold = {number: list(texts) for number, texts in enumerate(references)}
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports downloads there
            total, scores = _scorer(name).compute_score(gold, hypotheses)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise UsageError(
            f"{name}: the Java program of pycocoevalcap failed ({type(error).__name__}: {error}); it may lack memory, "
            "or its models, which it downloads at first use. Leave the metric out, or run it where it works."
        ) from error
    if name == "spice":
        scores = [each["All"]["f"] for each in scores]
    return float(total), np.array(scores, np.float64)


def _scorer(name: str):  # type: ignore[no-untyped-def]  # pycocoevalcap has no types
    if name == "meteor":
        from pycocoevalcap.meteor.meteor import Meteor

        return Meteor()
    from pycocoevalcap.spice.spice import Spice

    return Spice()
