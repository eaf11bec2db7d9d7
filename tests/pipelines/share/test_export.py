"""An exported captioner says what the captioner says: in ONNX, in OpenVINO's form and in a browser."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from captioner.models.base import load
from captioner.pipelines import cli
from captioner.training.search.phrases import fit_phrases

pytest.importorskip("onnxruntime", reason="the extra captioner[export] is not installed")
pytest.importorskip("onnxscript", reason="the extra captioner[export] is not installed")

CHROMIUM = "/usr/bin/chromium"
RUNTIME = os.environ.get("CAPTIONER_ORT_WEB")
"""The folder dist of onnxruntime-web, which the test in a browser needs."""


def call(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["captioner", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code or 0


@pytest.fixture(scope="module")
def exported(model_folder, tmp_path_factory):
    """The tiny captioner as ONNX; exporting it takes seconds."""
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    assert call(model_folder, "-o", folder) == 0
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed, size in enumerate([(80, 96), (64, 64), (50, 200), (300, 240)]):
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
        cv2.imwrite(str(folder / f"{seed}.png"), cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_CUBIC))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def expected(model_folder, photos):
    return load(model_folder, "cpu").caption(photos)


@pytest.fixture(scope="module")
def chooser(finder_folder, photos, tmp_path_factory):
    """As ONNX, the captioner with a search's quick part and phrases, which choose among captions; and what it says."""
    folder = Path(shutil.copytree(finder_folder, tmp_path_factory.mktemp("chooser") / "chooser"))
    config = json.loads((folder / "search.json").read_text())
    (folder / "search.json").write_text(json.dumps({**config, "caption_weight": 8.0}))
    model = load(folder, "cpu")
    words = model.vocabulary.tokens[4:]
    images = [SimpleNamespace(tokens=[words[first : first + 5]]) for first in range(len(words) - 5)] * 4
    pooled = torch.randn(len(images), model.encoder.channels, generator=torch.Generator().manual_seed(0))
    fit_phrases(pooled, images, model.vocabulary, 20.0).save(folder)
    assert call(folder, "-o", folder.parent / "onnx") == 0
    return folder.parent / "onnx", load(folder, "cpu").caption(photos)


def run(folder, photos):
    """What the reference runner in an exported folder prints."""
    done = subprocess.run(
        [sys.executable, folder / "caption.py", *photos], capture_output=True, text=True, check=True, cwd="/"
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_runner_gives_the_captioner_s_captions_and_scores(exported, photos, expected):
    rows = run(exported, photos)
    assert [row["caption"] for row in rows] == [each.text for each in expected]
    assert [row["score"] for row in rows] == pytest.approx([each.score for each in expected], abs=2e-3)
    assert len({row["caption"] for row in rows}) > 1


def test_the_runner_sees_transparent_and_deep_photos_as_the_captioner_does(exported, model_folder, photos, tmp_path):
    picture = cv2.imread(str(photos[3]))
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.uint16)
    clear = cv2.resize(np.random.default_rng(0).integers(0, 256, (3, 4), np.uint8), picture.shape[1::-1])
    cases = {
        "deep": grey * 257,
        "12 bits": grey * 16,
        "dark": grey // 4 * 257,
        "transparent": np.dstack([picture, clear]),
        "transparent grey": np.dstack([grey.astype(np.uint8)] * 3 + [255 - clear]),
    }
    paths = [tmp_path / f"{name}.png" for name in cases]
    for path, case in zip(paths, cases.values(), strict=True):
        cv2.imwrite(str(path), case)
    paths.append(tmp_path / "floats.tif")
    Image.fromarray(grey.astype(np.float32) / 255).save(paths[-1])
    rows, found = run(exported, paths), load(model_folder, "cpu").caption(paths)
    assert [row["caption"] for row in rows] == [each.text for each in found]
    assert [row["score"] for row in rows] == pytest.approx([each.score for each in found], abs=5e-3)


def test_the_runner_names_what_it_cannot_read_and_captions_the_others(exported, photos, expected, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    command = [sys.executable, exported / "caption.py", tmp_path / "bad.jpg", tmp_path / "gone.jpg", photos[0]]
    done = subprocess.run(command, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "")
    assert "cannot identify image file" in rows[0]["error"]
    assert "No such file" in rows[1]["error"]
    assert rows[2]["caption"] == expected[0].text


def test_an_exported_captioner_chooses_as_the_captioner_does(chooser, expected, photos):
    folder, found = chooser
    assert [each.text for each in found] != [each.text for each in expected]
    rows = run(folder, photos)
    assert [row["caption"] for row in rows] == [each.text for each in found]
    assert [row["score"] for row in rows] == pytest.approx([each.score for each in found], abs=2e-3)


def test_the_runner_is_short_and_needs_nothing_of_this_package(exported):
    text = (exported / "caption.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert "import captioner" not in text
    assert "from captioner" not in text


def test_the_networks_take_any_number_of_images(exported):
    import onnxruntime

    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    session = onnxruntime.InferenceSession(exported / "encoder.onnx")
    together = session.run(None, {"pixels": pixels})[0]
    alone = np.concatenate([session.run(None, {"pixels": each[None]})[0] for each in pixels])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_openvino_s_form_chooses_as_the_captioner_does(chooser, photos, tmp_path):
    from captioner.pipelines.share.export import to_openvino

    exported, found = chooser
    folder = Path(shutil.copytree(exported, tmp_path / "openvino"))
    to_openvino(folder)
    assert [row["caption"] for row in run(folder, photos)] == [each.text for each in found]


def test_what_chooses_takes_any_number_of_images(chooser):
    import onnxruntime

    fit = onnxruntime.InferenceSession(chooser[0] / "fit.onnx")
    shapes = {each.name: each.shape for each in fit.get_inputs()}
    rng = np.random.default_rng(0)
    grid = rng.normal(size=(3, *shapes["grid"][1:])).astype(np.float32)
    tokens = rng.integers(4, 8, (3, 2, shapes["tokens"][2]))
    together = fit.run(None, {"grid": grid, "tokens": tokens})[0]
    for place in range(3):
        alone = fit.run(None, {"grid": grid[place : place + 1], "tokens": tokens[place : place + 1]})[0]
        assert np.allclose(alone[0], together[place], atol=1e-3)


def test_openvino_s_form_gives_the_same_captions(exported, photos, expected, tmp_path):
    from captioner.pipelines.share.export import to_openvino

    folder = Path(shutil.copytree(exported, tmp_path / "openvino"))
    to_openvino(folder)
    assert not list(folder.glob("*.onnx"))
    assert [row["caption"] for row in run(folder, photos)] == [each.text for each in expected]


def test_the_cnn_in_8_bits_is_smaller_and_still_sees(exported, photos, expected, tmp_path):
    from captioner.pipelines.share.int8 import examples, quantize
    from captioner.vision.images import Transform

    folder = Path(shutil.copytree(exported, tmp_path / "int8"))
    for number in range(10):
        shutil.copyfile(photos[number % len(photos)], tmp_path / f"{number}.png")
    quantize(folder / "encoder.onnx", examples(tmp_path, Transform(size=(64, 64))))
    assert (folder / "encoder.onnx").stat().st_size < 0.6 * (exported / "encoder.onnx").stat().st_size
    rows = run(folder, photos)
    assert [row["score"] for row in rows] == pytest.approx([each.score for each in expected], abs=0.3)
    assert {file.name for file in folder.iterdir()} == {file.name for file in exported.iterdir()}


@pytest.mark.skipif(RUNTIME is None, reason="CAPTIONER_ORT_WEB does not name onnxruntime-web's folder dist")
def test_a_browser_gives_the_same_captions(chooser, photos, tmp_path):
    from captioner.pipelines.share.web import add_page

    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not os.path.exists(CHROMIUM):
        pytest.skip("Chromium is not installed: apt-get install chromium")
    exported, expected = chooser
    folder = Path(shutil.copytree(exported, tmp_path / "web"))
    add_page(folder, Path(str(RUNTIME)))
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        playwright.sync_playwright() as running,
        running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as browser,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.set_default_timeout(60_000)
        asked, posted = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("request", lambda request: posted.append(request.url) if request.method != "GET" else None)
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.set_input_files("#files", [*map(str, photos), str(tmp_path / "bad.jpg")])
        page.wait_for_selector("text=5 of 5 done")
        texts = [card.inner_text() for card in page.query_selector_all("figure")]
        page.focus("figure")
        page.keyboard.press("ArrowRight")
        assert page.query_selector("canvas.on") is not None
        server.shutdown()
    assert all(each.text in text for each, text in zip(expected, texts, strict=False))
    assert "not an image that this browser can read" in texts[-1]
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {f"127.0.0.1:{server.server_port}"}
    assert posted == []


def test_what_cannot_be_exported_is_one_sentence(model_folder, make_translator, tmp_path, capfd, monkeypatch):
    make_translator().save(tmp_path / "words", "For tests.")
    other = Path(shutil.copytree(model_folder, tmp_path / "other"))
    words = json.loads((other / "vocabulary.json").read_text())
    (other / "vocabulary.json").write_text(json.dumps({**words, "tokenization": {"scheme": "unicode"}}))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "ort.wasm.min.js").write_text("another version")
    out = tmp_path / "out"
    for arguments, sentence in (
        ((tmp_path / "words", "-o", out), "is a translator, not a photo captioner"),
        ((other, "-o", out), "only this package makes sentences of its words"),
        ((model_folder, "-o", tmp_path / "full"), "is there already; choose a new folder."),
        ((model_folder, "-o", out, "--runtime", tmp_path), "--runtime is for --format web"),
        ((model_folder, "-o", out, "--format", "web", "--runtime", out), "has no ort.wasm.min.js"),
        ((model_folder, "-o", out, "--format", "web", "--runtime", tmp_path), "is not that of onnxruntime-web"),
        ((model_folder, "-o", out, "--int8", tmp_path / "full"), "no images here"),
    ):
        assert call(*arguments) == 2
        error = capfd.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
        assert not out.exists()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert call(model_folder, "-o", out) == 2
    assert 'pip install "captioner[export]"' in capfd.readouterr().err


def test_without_npm_the_page_s_runtime_has_to_be_named(model_folder, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert call(model_folder, "-o", tmp_path / "out", "--format", "web") == 2
    assert "npm, which fetches onnxruntime-web, is not installed; install npm, or name" in capfd.readouterr().err
