"""Progress is a bar on a terminal, a plain line elsewhere, nothing when quiet; the summary counts reasons."""

import io

import pytest
from rich.console import Console

from captioner.pipelines.folder import progress
from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.folder.progress import Meter, Summary, duration


def shown(monkeypatch, *, terminal=False, quiet=False, every=0.0):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", every)
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100)
    with Meter(10, "images", console, quiet=quiet) as meter:
        meter.advance(4, 0)
        meter.advance(2, 1)
        meter.advance(4, 0)
    return output.getvalue()


def test_a_pipe_gets_plain_lines(monkeypatch):
    lines = shown(monkeypatch).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("4 of 10 images, ")
    assert lines[1].startswith("6 of 10 images, ")
    assert lines[1].endswith(" left, 1 failed")
    assert "\x1b" not in "".join(lines)


def test_plain_lines_come_only_now_and_then(monkeypatch):
    assert shown(monkeypatch, every=60) == ""


def test_a_terminal_gets_a_bar_with_speed_and_failures(monkeypatch):
    text = shown(monkeypatch, terminal=True)
    assert "10/10" in text
    assert "1 failed" in text


def test_quiet_says_nothing(monkeypatch):
    assert shown(monkeypatch, quiet=True) == ""
    assert shown(monkeypatch, terminal=True, quiet=True) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (42, "42 s"), (150, "2 min"), (3600, "60 min"), (9000, "2 h 30 min")]
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_the_summary_counts_failures_by_reason_and_shows_the_first():
    summary = Summary(before=(5, 2), seconds=2.0)
    assert summary.add([Record("a"), Record("b", warning="cut"), Record("c", error="not an image")]) == 1
    summary.add([Record(f"d{number}", error=f"too large ({number} pixels)") for number in range(6)])
    assert summary.lines("images") == [
        "2 images done in 2.0 s (1.0 a second), 1 of them with a warning",
        "  b: cut",
        "7 failed: 6 too large, 1 not an image",
        "  c: not an image",
        "  d0: too large (0 pixels)",
        "  d1: too large (1 pixels)",
        "  d2: too large (2 pixels)",
        "  d3: too large (3 pixels)",
        "  and 2 more, in the output",
        "5 were done before, 2 of which had failed (--retry tries them again)",
    ]


def test_what_was_counted_elsewhere_is_added_with_its_warnings():
    summary, other = Summary(seconds=2.0), Summary()
    summary.add([Record("a", warning="cut")])
    other.add([Record(f"b{number}", warning="dark") for number in range(6)] + [Record("c", error="not an image")])
    summary.merge(other)
    lines = summary.lines("images")
    assert lines[0].endswith("7 of them with a warning")
    assert lines[1:3] == ["  a: cut", "  b0: dark"]
    assert lines[5:] == ["  b3: dark", "  and 2 more", "1 failed: 1 not an image", "  c: not an image"]


def test_an_empty_summary_is_one_line():
    assert Summary().lines("images") == ["0 images done"]
