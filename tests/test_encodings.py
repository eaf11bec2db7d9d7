"""Text is read and written in the encoding that its file has, not in the one of whatever system this runs on."""

import ast
from pathlib import Path

import captioner

ROOTS = (Path(captioner.__file__).parent, Path(captioner.__file__).parent.parent / "pipelines")


def text_without_encoding(path: Path) -> list[int]:
    """Lines that open a file as text and leave its encoding to the system."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(word.arg in ("encoding", None) for word in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        positional = {"read_text": 1, "write_text": 2}.get(name)
        if positional is not None and len(node.args) < positional:
            lines.append(node.lineno)
        if name == "open" and not isinstance(node.func, ast.Attribute):
            mode = next((word.value for word in node.keywords if word.arg == "mode"), None)
            mode = node.args[1] if len(node.args) > 1 else mode
            if mode is None or (isinstance(mode, ast.Constant) and "b" not in mode.value):
                lines.append(node.lineno)
        if name == "open" and isinstance(node.func, ast.Attribute) and node.args:
            mode = node.args[0]
            if isinstance(mode, ast.Constant) and mode.value in ("r", "w", "a", "x", "r+", "w+", "a+"):
                lines.append(node.lineno)
    return lines


def test_every_text_file_is_opened_with_its_encoding():
    found = [
        f"{path.name}:{line}" for root in ROOTS for path in root.rglob("*.py") for line in text_without_encoding(path)
    ]
    assert found == []


def test_what_leaves_the_encoding_to_the_system_is_found(tmp_path):
    code = "a.read_text()\na.write_text('x')\nopen('a')\nopen('a', 'w')\na.open('a')\nopen('a', 'rb')\n"
    (tmp_path / "a.py").write_text(code + "open('a', encoding='utf-8')\n", encoding="utf-8")
    assert text_without_encoding(tmp_path / "a.py") == [1, 2, 3, 4, 5]
