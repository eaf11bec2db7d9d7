import pytest
import torch
from typer.testing import CliRunner

from captioner.errors import UsageError
from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import NetworkConfig
from captioner.pipelines.cli import app
from captioner.text.vocabulary import SPECIALS, Vocabulary


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A language model with random weights."""
    torch.manual_seed(0)
    config = LanguageConfig(network=NetworkConfig(hidden_size=8, embedding_size=8))
    model = LanguageModel.build(config, Vocabulary([*SPECIALS, "a", "dog", "runs", "fast"]))
    folder = tmp_path_factory.mktemp("language") / "tiny"
    model.save(folder, "Random weights, for tests.")
    return str(folder)


def generate(*arguments):
    return CliRunner().invoke(app, ["generate", *arguments])


def test_lines_begin_with_the_prompt_and_repeat_with_a_seed(folder):
    arguments = (folder, "--prompt", "a dog", "-n", "4", "--max-length", "5", "--seed", "3", "--top-p", "0.9")
    lines = generate(*arguments).stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("a dog") and len(line.split()) <= 7 for line in lines)
    assert generate(*arguments).stdout.splitlines() == lines


def test_the_most_probable_word_alone_is_drawn_from_a_top_1(folder):
    arguments = (folder, "--prompt", "dog", "--top-k", "1", "--max-length", "4")
    assert generate(*arguments, "--seed", "1").stdout == generate(*arguments, "--seed", "2").stdout


def test_unknown_words_of_a_prompt_are_named(folder):
    result = generate(folder, "--prompt", "a zebra runs")
    assert result.exit_code == 0
    assert "does not know zebra; read as <unk>" in result.stderr
    assert result.stdout.startswith("a zebra runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompt", "zebra yak"), "knows none of the words"),
        (("--temperature", "0"), "temperature is 0.0; it must be above 0"),
        (("--top-p", "2"), "top_p is 2.0"),
    ],
)
def test_what_cannot_be_done_is_said(folder, arguments, message):
    result = generate(folder, *arguments)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
