from pathlib import Path

import pytest

from captioner.applications import APPLICATIONS
from captioner.errors import ConfigError, UsageError
from captioner.training.config import load_config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("decoder.hiden_size=5", r"unknown key decoder.hiden_size; choose from .*Did you mean hidden_size"),
        ("stages.cross_entropy.epoch=5", r"unknown key stages.cross_entropy.epoch; choose from .*epochs"),
        ("encodr.name=resnet50", r"unknown key encodr; choose from .*encoder"),
        ("search.beams=5", r"unknown key search.beams; choose from .*beam_size"),
        ("data.sets.squares.photo=x", r"unknown key data.sets.squares.photo; choose from .*photos"),
        ("decoder.unit=lstn", r"decoder.unit is 'lstn': .*'tanh', 'lstm' or 'gru'"),
        ("decoder.layers=0", r"decoder.layers is 0: .*greater than or equal to 1"),
        ("decoder.heads=5", r"decoder: heads \(5\) must divide hidden_size"),
        ("stages.self_critical.samples=1", r"stages.self_critical.samples is 1"),
        ("data.root.deeper=1", r"data.root holds a value"),
        ("search.beam_size=0", r"beam_size"),
        ("stages.cross_entropy.learning_rate=.inf", r"stages.cross_entropy.learning_rate is inf: .*finite number"),
        ("stages.cross_entropy.weight_decay=1e999", r"stages.cross_entropy.weight_decay is inf: .*finite number"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file(write_config, override, message):
    config = write_config()
    with pytest.raises((ConfigError, UsageError), match=message) as error:
        load_config(config, [override])
    assert str(config) in str(error.value)


def test_a_missing_key_is_named(write_config, settings):
    del settings["encoder"]["name"]
    with pytest.raises(ConfigError, match=r"encoder.name is missing"):
        load_config(write_config())


def test_an_override_that_is_nested_too_deeply_or_long_is_one_short_sentence(write_config):
    for override in ("purpose=" + "[" * 3000, "[" * 3000, "precision=" + "a" * 5000):
        with pytest.raises((ConfigError, UsageError)) as error:
            load_config(write_config(), [override])
        assert len(str(error.value)) < 1000


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1", "", "just words", "[" * 3000])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"odd.yaml: not"):
        load_config(tmp_path / "odd.yaml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed: 4", "seed is given twice"),
        ("stages: {}", "stages is given twice"),
        ("concepts: true", "concepts is True; give a number"),
        ("concepts: 1:30", "concepts is '1:30'"),
        ("runs: 0100x", "runs is '0100x'"),
    ],
)
def test_values_that_look_like_something_else_than_they_would_be_are_refused(write_config, line, message):
    config = write_config()
    config.write_text(f"{config.read_text()}\n{line}\n")
    with pytest.raises(ConfigError, match=message):
        load_config(config)


def test_plain_values_mean_what_they_look_like(write_config):
    overrides = ["seed=010", "purpose=no", "notes=2001-01-01", "stages.language.learning_rate=1e-3"]
    config = load_config(write_config(), overrides)
    assert (config.seed, config.purpose, config.notes) == (10, "no", "2001-01-01")
    assert config.stages.language.learning_rate == 0.001


def test_anchors_and_merged_keys_are_read(tmp_path, write_config):
    config = write_config()
    text = config.read_text() + "search_precision: &fast bfloat16\nnotes: *fast\n"
    config.write_text(text)
    assert load_config(config).notes == "bfloat16"


@pytest.mark.parametrize("seed", [-1, 2**31, 10**30])
def test_seeds_that_no_generator_takes_are_refused(write_config, seed):
    with pytest.raises(ConfigError, match="seed is"):
        load_config(write_config(), [f"seed={seed}"])


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_overrides_are_yaml_values_at_dotted_keys(write_config):
    config = load_config(write_config(), ["stages.language=null", "decoder.unit=gru", "data.text=[a.json, b.json]"])
    assert config.stages.language is None
    assert config.decoder.unit == "gru"
    assert [path.name for path in config.data.text] == ["a.json", "b.json"]


@pytest.mark.parametrize("kind", ["captions", 3, "[language]"])
def test_an_unknown_kind_is_answered_with_the_kinds(write_config, kind):
    with pytest.raises(ConfigError, match=r"kind is .*; choose from caption, classify, language, translate, video"):
        load_config(write_config(), [f"kind={kind}"])


def test_a_file_without_a_kind_trains_a_photo_captioner(write_config):
    assert load_config(write_config()).kind == "caption"


def test_an_override_without_equals_is_refused(write_config):
    with pytest.raises(UsageError, match=r"dotted.key=value"):
        load_config(write_config(), ["data.root"])


CONFIGURATIONS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_the_configurations_in_the_repository_are_valid(path):
    assert load_config(path).kind in APPLICATIONS
