"""The gallery is one file that works offline in a real browser: captions, attention by mouse and keyboard, search."""

import json
import os
import re

import numpy as np
import pytest

from captioner.errors import UsageError
from captioner.models.caption_writer import Caption
from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.gallery.pages import Gallery
from captioner.pipelines.gallery.rows import PhotoCard, attention_bytes, word_spans
from captioner.pipelines.gallery.thumbnails import thumbnail

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def record(name: str, *captions: str, seed: int = 0, size=(30, 40)) -> Record:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size, 3), np.uint8)
    found = []
    for text in captions:
        tokens = tuple(text.lower().rstrip(".").split())
        weights = rng.random((len(tokens), 3, 4), dtype=np.float32)
        found.append(Caption(text, -0.5, -3.0, tokens, weights / weights.sum((1, 2), keepdims=True)))
    rows = [{"caption": text, "score": -0.5 - place} for place, text in enumerate(captions)]
    fields = rows[0] if len(rows) == 1 else {"captions": rows}
    return Record(name, fields, picture=PhotoCard(thumbnail(pixels, (0, 0, 1, 1)), found))


RECORDS = [
    record("dir/one.jpg", "A dog runs on the grass.", "A big dog sits.", seed=1),
    record("dir/two.jpg", "Two men sit.", seed=2, size=(40, 30)),
    Record("dir/bad<b>.jpg", error="not an image"),
    record("dir/</script><i>.jpg", "A cat.", seed=3),
]


def rows_of(path) -> list[dict]:
    return json.loads(path.read_text().partition('id="rows">')[2].partition("</script>")[0])


def write(path, records, **options):
    gallery = Gallery(str(path), "Holidays", overwrite=options.pop("overwrite", False), **options)
    gallery.write(records)
    gallery.close()
    return gallery


def test_words_are_found_in_their_sentence():
    text = "A man's hat isn't (very) big."
    tokens = ["a", "man", "'s", "hat", "is", "n't", "-lrb-", "very", "-rrb-", "big"]
    spans = word_spans(text, tokens)
    assert [text[slice(*span)] if span else None for span in spans] == [
        *["A", "man", "'s", "hat", "is", "n't", None, "very", None, "big"]
    ]


def test_attention_is_one_byte_a_cell_with_255_at_the_peak():
    import base64

    attention = np.array([[[0.5, 0.25], [0.25, 0.0]], [[0.25, 0.25], [0.25, 0.25]]], np.float32)
    assert list(base64.b64decode(attention_bytes(attention))) == [255, 128, 128, 0, 255, 255, 255, 255]


def test_a_thumbnail_is_small_and_keeps_the_shape():
    small = thumbnail(np.zeros((3000, 6000, 3), np.uint8), (0, 0, 1, 1))
    import cv2

    assert small.size == (3000, 6000)
    assert cv2.imdecode(np.frombuffer(small.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (160, 320, 3)


def test_the_page_holds_every_record_and_nothing_from_outside(tmp_path):
    write(tmp_path / "g.html", RECORDS)
    text = (tmp_path / "g.html").read_text()
    assert [row["path"] for row in rows_of(tmp_path / "g.html")] == [each.path for each in RECORDS]
    assert not re.search(r"https?://|src=[\"'](?!data:)|<link|@import|url\(", text)
    assert "<i>" not in text


def test_a_page_is_continued_and_whole_after_every_write(tmp_path):
    path = tmp_path / "g.html"
    write(path, RECORDS[:2])
    again = Gallery(str(path), "Holidays", overwrite=False)
    assert again.done == {identity(each.path): False for each in RECORDS[:2]}
    for each in RECORDS[2:]:
        again.write([each])
        assert rows_of(path)[-1]["path"] == each.path
        assert path.read_text().endswith("</html>\n")
    again.close()
    assert len(rows_of(path)) == 4
    write(path, RECORDS[:1], overwrite=True)
    assert len(rows_of(path)) == 1


def test_a_large_gallery_is_several_pages_that_know_each_other(tmp_path):
    records = [record(f"{number}.jpg", "A dog.", seed=number) for number in range(12)]
    write(tmp_path / "g.html", records[:7], page_bytes=20_000)
    gallery = write(tmp_path / "g.html", records[7:], page_bytes=20_000)
    pages = [tmp_path / "g.html", *(tmp_path / f"g-{place}.html" for place in range(2, len(gallery.pages) + 1))]
    assert len(pages) > 2
    assert [row["path"] for page in pages for row in rows_of(page)] == [each.path for each in records]
    for place, page in enumerate(pages, 1):
        assert page.stat().st_size <= 20_000
        about = json.loads(re.search(r'id="about">(.*?)</script>', page.read_text())[1])
        assert about == {"title": "Holidays", "page": place, "pages": [each.name for each in pages]}
    write(tmp_path / "g.html", records[:1], overwrite=True)
    assert not pages[1].exists()
    assert not pages[-1].exists()


def test_another_html_file_is_refused_and_kept(tmp_path):
    (tmp_path / "g.html").write_text("<!doctype html><p>My own page")
    with pytest.raises(UsageError, match="line 1 is not a row of this command"):
        Gallery(str(tmp_path / "g.html"), "x", overwrite=False)
    assert "My own page" in (tmp_path / "g.html").read_text()


def test_somebody_elses_page_whose_name_a_later_page_may_need_is_kept_even_when_all_is_written_anew(tmp_path):
    (tmp_path / "g-2.html").write_text("<!doctype html><p>My own page")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"g-2\.html: is no page of .*g\.html, which may need that name"):
            Gallery(str(tmp_path / "g.html"), "x", overwrite=overwrite)
    assert "My own page" in (tmp_path / "g-2.html").read_text()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not os.path.exists(CHROMIUM):
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    contexts, errors = [], []

    def open_page(path, **options):
        contexts.append(browser.new_context(offline=True, viewport={"width": 1000, "height": 700}, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def veil(page, card: int) -> float:
    """How dark the overlay of a photo is, on average, from 0 to 255; 0 where it is not shown."""
    return page.evaluate(
        """card => {
            const canvas = document.querySelectorAll("figure")[card].querySelector("canvas");
            if (!canvas?.classList.contains("on")) return 0; // a card that is not near the window is empty
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return data.filter((_, index) => index % 4 === 3).reduce((sum, each) => sum + each, 0) * 4 / data.length;
        }""",
        card,
    )


def until(page, card: int, wanted) -> float:
    """The veil, once it is as wanted or has had five seconds to become so; a busy machine paints late."""
    for _ in range(50):
        if wanted(found := veil(page, card)):
            break
        page.wait_for_timeout(100)
    return found


def test_the_browser_shows_photos_captions_alternatives_and_failures(tmp_path, open_page):
    write(tmp_path / "g.html", RECORDS)
    page = open_page(tmp_path / "g.html")
    assert page.title() == "Holidays"
    assert page.locator("#count").inner_text() == "3 photos"
    card = page.locator("figure", has_text="A dog runs")
    assert card.locator("p").all_inner_texts()[1].startswith("A big dog sits.")
    assert card.locator(".score").all_inner_texts() == ["-0.50", "-1.50"]
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
    assert page.locator("summary").inner_text() == "1 could not be read"
    assert "bad<b>.jpg: not an image" in page.locator("details").text_content()


def test_hovering_a_word_shows_where_the_model_looked(tmp_path, open_page):
    write(tmp_path / "g.html", RECORDS)
    page = open_page(tmp_path / "g.html")
    assert veil(page, 0) == 0
    page.locator("figure").first.locator(".word", has_text="runs").hover()
    runs = until(page, 0, lambda found: found > 20)
    assert runs > 20
    page.locator("figure").first.locator(".word", has_text="grass").hover()
    assert until(page, 0, lambda found: found not in (0, runs)) not in (0, runs)
    page.locator("h1").hover()
    assert until(page, 0, lambda found: found == 0) == 0


def test_the_keyboard_walks_through_photos_and_words(tmp_path, open_page):
    write(tmp_path / "g.html", RECORDS)
    page = open_page(tmp_path / "g.html")
    page.locator("figure").first.focus()
    words = []
    for key in ["ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft"]:
        page.keyboard.press(key)
        words.append(page.locator(".word.on").inner_text())
    assert words == ["A", "dog", "A", "sits"]
    assert veil(page, 0) > 20
    page.keyboard.press("Escape")
    assert veil(page, 0) == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    assert page.locator(".word.on").count() == 0
    assert page.evaluate("document.activeElement.tagName") == "FIGURE"


def test_search_finds_words_and_names(tmp_path, open_page):
    write(tmp_path / "g.html", RECORDS)
    page = open_page(tmp_path / "g.html")
    page.keyboard.press("/")
    page.keyboard.type("DOG sits")
    page.locator("#count", has_text="1 of 3 photos").wait_for()
    assert page.locator("figure").count() == 1
    assert page.locator(".found").all_inner_texts() == ["dog", "dog", "sits"]
    page.locator("input").fill("two.jpg")
    page.locator("figure", has_text="Two men").wait_for()
    page.locator("input").fill("zebra")
    page.locator(".empty", has_text="No photo has these words.").wait_for()


def test_light_and_dark_follow_the_system_and_the_button(tmp_path, open_page):
    write(tmp_path / "g.html", RECORDS)
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (open_page(tmp_path / "g.html", color_scheme=scheme) for scheme in ("light", "dark"))
    colours = light.evaluate(ground), dark.evaluate(ground)
    assert colours[0] != colours[1]
    light.locator("button").click()
    assert light.evaluate(ground) == colours[1]
    light.locator("button").click()
    assert light.evaluate(ground) == colours[0]


def test_pages_link_to_each_other(tmp_path, open_page):
    records = [record(f"{number}.jpg", "A dog.", seed=number) for number in range(8)]
    write(tmp_path / "my photos.html", records, page_bytes=20_000)
    page = open_page(tmp_path / "my photos.html")
    page.locator("nav a", has_text="2").click()
    page.wait_for_url("**/my%20photos-2.html")
    assert page.locator("nav b").inner_text() == "2"


def test_ten_thousand_photos_stay_usable(tmp_path, open_page):
    image = record("x.jpg", "A dog.")
    records = [Record(f"{number:05}.jpg", image.fields, picture=image.picture) for number in range(10_000)]
    write(tmp_path / "g.html", records)
    page = open_page(tmp_path / "g.html")
    assert page.locator("#count").inner_text() == "10,000 photos"
    assert page.locator("figure").count() == 10_000
    assert page.locator("img").count() < 300
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator("figure", has_text="09999.jpg").wait_for()
    assert page.locator("img").count() < 300
    page.locator("input").fill("04567")
    page.locator("#count", has_text="1 of 10,000 photos").wait_for()
