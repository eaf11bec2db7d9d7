import io

from rich.console import Console

from captioner.pipelines.caption.outputs import CaptionTable
from captioner.pipelines.folder.outputs import Record


def test_right_to_left_captions_are_set_apart_so_that_their_score_stays_behind_them():
    out = io.StringIO()
    table = CaptionTable(Console(file=out, width=80), ["a.jpg"])
    table.write(
        [
            Record("a.jpg", {"caption": "שני כלבים רצים.", "score": -0.5}),
            Record("b.jpg", {"caption": "A dog.", "score": -1}),
        ]
    )
    first, second = out.getvalue().splitlines()
    assert "\u2068שני כלבים רצים.\u2069" in first
    assert "\u2068" not in second
