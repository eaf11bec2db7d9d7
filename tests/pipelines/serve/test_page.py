"""The page in a real browser: choosing, dropping, captions, attention by keyboard, errors, saving, accessibility."""

import codecs
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from captioner.models.base import load
from captioner.models.concepts import ConceptWords

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def tiny(folders, tmp_path_factory):
    """The captioner, which tells concept words too."""
    folder = Path(shutil.copytree(folders["tiny"], tmp_path_factory.mktemp("telling") / "tiny"))
    weights = load(folder, "cpu").decoder.embedding.weight
    torch.manual_seed(2)
    words = ConceptWords(weights.shape[1], 4)
    words.ids += torch.arange(4, 8)
    words.save(folder)
    return folder


@pytest.fixture(scope="module")
def address(start, folders, tiny):
    sources = (tiny, folders["moves"], folders["words"])
    return start(*(each for source in sources for each in ("--model", str(source)))).address


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
def page(browser, address):
    context = browser.new_context(
        viewport={"width": 1100, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.asked, page.problems = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#task option", state="attached")
    yield page
    context.close()


@pytest.fixture
def photos(tmp_path):
    paths = []
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
        paths.append(tmp_path / f"photo{seed}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.resize(pixels, (96, 80), interpolation=cv2.INTER_CUBIC))
    (tmp_path / "bad<b>.jpg").write_bytes(b"no photo")
    return [*paths, tmp_path / "bad<b>.jpg"]


def choose(page, paths):
    page.set_input_files("#files", [str(path) for path in paths])
    page.wait_for_selector("#stop:disabled")


def test_chosen_files_are_captioned_and_what_cannot_be_read_says_why(page, photos, address):
    choose(page, photos)
    assert page.inner_text("#count") == "3 of 3 done, 1 could not be used"
    texts = [card.inner_text() for card in page.query_selector_all("figure")]
    assert all(f"photo{seed}.jpg" in texts[seed] for seed in range(2))
    assert len(page.query_selector_all("figure:first-child figcaption > p")) == 3  # the best caption and alternatives
    assert "not an image" in texts[2]
    assert "bad<b>.jpg" in texts[2]
    assert {url.split("/")[2] for url in page.asked if url.startswith("http")} == {address.split("/")[2]}
    assert [problem for problem in page.problems if "422" not in problem] == []


def test_arrow_keys_show_where_the_model_looked_and_say_it(page, photos):
    choose(page, photos[:1])
    page.focus("figure")
    page.keyboard.press("ArrowRight")
    first = page.inner_text(".word.on")
    assert page.eval_on_selector("canvas", "canvas => canvas.classList.contains('on') && canvas.width > 300")
    assert page.text_content("#where").startswith(f"{first}: ")
    page.keyboard.press("ArrowRight")
    assert page.eval_on_selector_all(".word", "words => words.findIndex(word => word.classList.contains('on'))") == 1
    page.keyboard.press("Escape")
    assert page.query_selector(".word.on") is None
    page.hover("figure .word")
    assert page.query_selector(".word.on") is not None


def test_dropped_files_and_the_saved_rows(page, photos):
    data = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'dropped, "it".jpg', {type: "image/jpeg"}));
            return data;
        }""",
        list(photos[0].read_bytes()),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    page.wait_for_selector("figure:not(.waiting)")
    with page.expect_download() as saved:
        page.click("#jsonl")
    row = json.loads(Path(saved.value.path()).read_text(encoding="utf-8"))
    assert set(row) == {"path", "captions", "concepts"}
    assert set(row["captions"][0]) == {"caption", "score"}
    with page.expect_download() as saved:
        page.click("#csv")
    table = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text(encoding="utf-8-sig"))))
    assert table[0]["path"] == 'dropped, "it".jpg'
    assert Path(saved.value.path()).read_bytes().startswith(codecs.BOM_UTF8)  # by which spreadsheets know UTF-8
    assert table[0]["caption_2"] == row["captions"][1]["caption"]
    page.click("#clear")
    assert page.query_selector("figure") is None


def test_a_browser_that_lets_no_page_copy_says_so(page, photos):
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")  # as without TLS elsewhere
    choose(page, photos[:1])
    page.click("#copy")
    assert page.inner_text("#count") == "This browser does not let the page copy; save JSON Lines instead"
    assert page.problems == []


def test_what_is_saved_are_the_rows_and_the_table_of_the_command_line(page, photos, tiny, draw_clip, tmp_path):
    clip = draw_clip(tmp_path / "a, b.avi", frames=40)
    captioner = (sys.executable, "-m", "captioner", "caption", "--model", tiny, "--concepts", "--quiet")
    for count, every in (("1", ""), ("3", "2")):
        page.select_option("#alternatives", count)
        page.select_option("#every", every)
        choose(page, [clip, *photos])
        asked = ["--num-captions", count, *(["--every", every] if every else [])]
        files = ["-o", tmp_path / f"{count}.jsonl", "-o", tmp_path / f"{count}.csv"]
        names = [path.name for path in (clip, *photos)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run([*captioner, *names, *asked, *files], cwd=tmp_path, env=environment, check=False)
        with page.expect_download() as saved:
            page.click("#jsonl")
        lines = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
        expected = (tmp_path / f"{count}.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == [json.loads(line) for line in expected]
        with page.expect_download() as saved:
            page.click("#csv")
        shown = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text(encoding="utf-8-sig"))))
        table = list(csv.DictReader(io.StringIO((tmp_path / f"{count}.csv").read_text(encoding="utf-8"))))
        assert [filled(row) for row in shown] == [filled(row) for row in table]
        assert ("window" in shown[0]) == bool(every)
        page.click("#clear")


def filled(row):
    """The cells of a table's row that hold something, numbers as numbers."""
    return {key: float(value) if re.fullmatch(r"-?[\d.]+", value) else value for key, value in row.items() if value}


def test_a_sentence_finds_photos_which_come_first_and_say_where_its_words_fit(page, photos, draw_clip, tmp_path):
    choose(page, [photos[0], draw_clip(tmp_path / "a.avi"), photos[1], photos[2]])
    page.focus("#query")
    page.keyboard.type("a dog on the gras")
    page.keyboard.press("Enter")
    page.wait_for_selector("#all")
    told = page.inner_text("#found")
    assert told.startswith("3 of 3, best first.")
    assert "'gras' is no word that this model knows (near ones for 'gras': grass)" in told
    shown = page.query_selector_all("figure:not([hidden])")
    assert len(shown) == 3  # the file that cannot be read is none
    assert all("a dog on the" in card.inner_text().lower() for card in shown)
    assert any("s: asked: A dog on the" in card.inner_text() for card in shown)  # a moment of the clip
    page.focus("figure:not([hidden]):has(canvas)")
    page.keyboard.press("ArrowLeft")  # from the last word on
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert page.inner_text(".word.on") == "A"
    assert page.eval_on_selector("canvas.on", "canvas => canvas.width > 300")
    page.fill("#query", "a cat")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=A cat")
    assert sum(url.endswith("/v1/look") for url in page.asked) == 3  # once each
    page.click("#all")
    names = [each.inner_text() for each in page.query_selector_all("figure .path")]
    assert names == ["photo0.jpg", "a.avi", "photo1.jpg", "bad<b>.jpg"]
    assert "asked" not in page.inner_text("#results")
    page.fill("#query", "xyzzy")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=say it in other, plain English words")


def test_captions_that_are_there_are_shown_in_another_language_and_back(page, photos):
    choose(page, photos[:2])
    english = page.inner_text("#results")
    page.select_option("#language", "de")
    page.wait_for_selector("#stop:disabled")
    assert page.inner_text("#count") == "2 of 2 done"
    german = page.inner_text("#results")
    assert german != english
    page.focus("figure")
    page.keyboard.press("ArrowRight")
    assert page.text_content("#where") != ""
    asked = len(page.asked)
    page.select_option("#language", "en")
    assert page.inner_text("#results") == english
    assert len(page.asked) == asked  # which the page still had


def test_clips_are_classified_and_captions_come_in_other_languages(page, photos, draw_clip, tmp_path):
    page.select_option("#language", "de")
    choose(page, photos[:1])
    assert page.query_selector("figure .word") is not None
    page.select_option("#task", "classify")
    assert page.is_hidden("#language")
    choose(page, [draw_clip(tmp_path / "a.avi")])
    assert "jump" in page.inner_text("figure:last-child")


def test_labels_in_free_words_are_told_of_photos_and_saved_as_the_command_line_saves_them(page, photos):
    page.select_option("#task", "label")
    page.fill("#labels", "dog, cat, xyzzy")
    choose(page, photos[:1])
    assert "'xyzzy' is no word that this model knows; the label is left out" in page.inner_text("#trouble")
    text = page.inner_text("figure")
    assert "dog" in text
    assert "cat" in text
    with page.expect_download() as saved:
        page.click("#jsonl")
    row = json.loads(Path(saved.value.path()).read_text(encoding="utf-8"))
    assert (row["label"] == "none fits") == (row["margin"] < 0)
    assert row["label"] in text
    assert page.query_selector("figure img") is not None
    with page.expect_download() as saved:
        page.click("#csv")
    table = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text(encoding="utf-8-sig"))))
    assert table[0]["label"] == row["label"]
    assert table[0]["label_2"] == row["top"][1]["label"]


def test_axe_finds_no_fault_in_light_and_dark_before_and_after(page, photos):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for step in range(2):
        for _ in range(2):
            found = axe.Axe().run(page).response["violations"]
            assert [(fault["id"], [node["html"][:80] for node in fault["nodes"]]) for fault in found] == []
            page.click("#theme")
        if step == 0:
            choose(page, photos)
            page.fill("#query", "a dog")
            page.keyboard.press("Enter")
            page.wait_for_selector("#all")


def test_the_api_s_page_lists_every_address(page, address):
    page.goto(f"{address}/docs")
    page.wait_for_selector("h2")
    shown = page.inner_text("main")
    assert "POST /v1/caption" in shown
    assert "beam_size" in shown
    assert f"curl -F file=@photo.jpg {address}/v1/caption" in shown
    assert f'curl -F file=@photo.jpg -F query="a dog runs" {address}/v1/search' in shown
    assert page.problems == []


def test_a_server_with_a_token_asks_for_it(browser, start, model_folder, photos):
    server = start("--model", str(model_folder), "--token", "correct-horse")
    page = browser.new_page()
    page.goto(server.address)
    page.wait_for_selector("text=asks for its token")
    page.fill("#token", "correct-horse")
    page.press("#token", "Tab")
    page.wait_for_selector("#task option", state="attached")
    choose(page, photos[:1])
    assert page.inner_text("#count") == "1 of 1 done"
    page.close()
