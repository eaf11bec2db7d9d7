"""The documentation's demo, built by mkdocs over documents of one page."""

import hashlib
import shutil
from pathlib import Path

import pytest

HOOKS = Path(__file__).parents[3] / "docs" / "hooks.py"


@pytest.fixture
def build(model_folder, tmp_path, caplog):
    """Builds the documents strictly, as the command line does; returns the folder of the site and what was logged."""
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    build_command = pytest.importorskip("mkdocs.commands.build", reason="mkdocs is not installed")
    from mkdocs.config import load_config

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[Demo](demo.md)\n")
    (tmp_path / "docs" / "demo.md").write_text("# Demo\n\nHow it is made.\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"site_name: test\nstrict: true\nhooks: ['{HOOKS}']\nextra: {{demo: '{model_folder}'}}\n"
    )

    def build(command="build"):
        config = load_config(str(tmp_path / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
        config.plugins.on_startup(command=command, dirty=False)
        with caplog.at_level("INFO"):
            build_command.build(config)
        return tmp_path / "site", caplog.text

    return build


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A folder with files that stand in for onnxruntime-web's, and whose checksums are the right ones."""
    from captioner.pipelines.share import web

    folder = tmp_path / "dist"
    folder.mkdir()
    for name in web.RUNTIME:
        (folder / name).write_text(name)
    checksums = {name: hashlib.sha256(name.encode()).hexdigest() for name in web.RUNTIME}
    monkeypatch.setattr(web, "RUNTIME", checksums)
    monkeypatch.setenv("CAPTIONER_ORT_WEB", str(folder))
    return folder


def test_the_demo_is_the_exported_page(build, runtime):
    site, _ = build()
    page = (site / "demo" / "index.html").read_text()
    assert "How it is made" not in page
    assert 'src="page.js"' in page
    assert (site / "demo" / "encoder.onnx").stat().st_size > 1000
    assert {path.name for path in runtime.iterdir()} < {path.name for path in (site / "demo").iterdir()}
    assert 'href="demo/"' in (site / "index.html").read_text()


def test_without_what_it_needs_the_documents_are_built_and_it_is_said(build, runtime, monkeypatch):
    monkeypatch.delenv("CAPTIONER_ORT_WEB")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    site, told = build()
    assert "How it is made" in (site / "demo" / "index.html").read_text()
    assert not (site / "demo" / "encoder.onnx").exists()
    assert "demo: not made, because npm, which fetches onnxruntime-web, is not installed" in told


def test_documents_that_are_being_written_have_no_demo(build, runtime):
    site, told = build("serve")
    assert "How it is made" in (site / "demo" / "index.html").read_text()
    assert "demo: is made by mkdocs build only" in told
