"""The gallery of lines in a real browser: where each character stands, by mouse and by keyboard, and search."""

import os

import numpy as np
import pytest

from captioner.models.text_lines import Character, TextLine
from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.gallery.lines import LineGallery, line_card

CHROMIUM = "/usr/bin/chromium"


def record(name, text):
    pixels = np.random.default_rng(len(text)).integers(0, 256, (40, 300, 3), np.uint8)
    count = len(text)
    characters = [Character(each, 0.9, place / count, (place + 0.5) / count) for place, each in enumerate(text)]
    card = line_card(pixels).with_text(TextLine(text, 0.75, tuple(characters)))
    return Record(name, {"text": text, "score": 0.75}, picture=card)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not os.path.exists(CHROMIUM):
        pytest.skip("Chromium is not installed: apt-get install chromium")
    path = tmp_path_factory.mktemp("gallery") / "lines.html"
    gallery = LineGallery(str(path), "Print", overwrite=False)
    gallery.write(
        [record("a/one.png", "Haus<b>"), record("a/two.png", "am See"), Record("bad.png", error="not an image")]
    )
    gallery.close()
    errors = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True).new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector("figure .text span")
        yield page
        browser.close()
    assert not errors


def test_the_arrow_keys_walk_through_the_characters(page):
    line = page.locator("figure .text").nth(1)
    line.focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.locator("figure .tell").nth(1).inner_text() == "m: 0.90, columns 16.7 to 25.0 %"
    page.keyboard.press("ArrowRight")
    assert page.locator("figure .tell").nth(1).inner_text().startswith("space: 0.90")
    page.keyboard.press("End")
    assert page.locator("figure .text span.on").inner_text() == "e"


def test_the_pointer_shows_the_columns_of_a_character(page):
    page.locator("figure .text span").first.hover()
    assert page.locator("figure .line i").first.evaluate("each => each.style.left") == "0%"
    assert page.locator("figure").first.locator(".columns b.on").count() == 1


def test_texts_are_searched_and_failures_listed(page):
    assert page.locator("summary").inner_text() == "1 could not be read"
    page.fill("input", "see")
    page.wait_for_function("document.querySelector('#count').textContent === '1 of 2 lines'")
    assert page.locator("figure").count() == 1
