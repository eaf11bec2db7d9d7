import numpy as np
import pytest
import torch
from PIL import Image

from captioner.decoding.ctc import Beam
from captioner.errors import ImageError, ModelError
from captioner.models.base import load
from captioner.models.read import ReadConfig, Reader
from captioner.models.read_network import ReaderConfig, ReaderNetwork, count_columns
from captioner.text.alphabet import Alphabet
from captioner.vision.line_pictures import LineTransform


def make_reader(unit="lstm", **changes):
    torch.manual_seed(0)
    alphabet = Alphabet("abcdef ")
    picture = LineTransform(height=16, step=8, **changes)
    config = ReaderConfig(channels=4, features=8, hidden_size=8, layers=2, unit=unit)
    network = ReaderNetwork(config, 16, len(alphabet))
    torch.nn.init.normal_(network.readout.weight, std=3)
    return Reader(ReadConfig(picture=picture, network=config, precision="float32"), network, alphabet)


@pytest.fixture(scope="module")
def reader():
    return make_reader()


def line(seed, height=20, width=90):
    draw = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 250, np.uint8)
    picture[4:-4, 6:-6] = draw.integers(0, 2, (height - 8, width - 12, 1)) * 240
    return picture


@pytest.mark.parametrize("column", [2, 4])
@pytest.mark.parametrize("width", [8, 24, 136])
def test_columns_are_counted_as_the_network_makes_them(column, width):
    config = ReaderConfig(column=column, channels=2, features=4, hidden_size=4)
    network = ReaderNetwork(config, 16, 3).eval()
    assert network(torch.zeros(1, 16, width, dtype=torch.uint8)).shape[1] == count_columns(config, width)


def test_a_line_reads_the_same_alone_and_among_others(reader):
    pictures = [line(seed, width=width) for seed, width in enumerate((60, 200, 61, 90, 60))]
    together = reader.read(pictures)
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = reader.read([picture])
        assert alone.text == found.text
        assert alone.score == pytest.approx(found.score, abs=1e-4)


@pytest.mark.parametrize("unit", ["mlp", "tanh", "lstm", "gru"])
def test_columns_after_a_lines_end_change_nothing(unit):
    torch.manual_seed(0)
    network = ReaderNetwork(ReaderConfig(channels=2, features=4, hidden_size=4, unit=unit), 16, 5).eval()
    columns = torch.randn(2, 9, 4)
    columns[0, 6:] = 100
    together = network.read(columns, torch.tensor([6, 9]))
    torch.testing.assert_close(together[0, :6], network.read(columns[:1, :6])[0])


def test_the_compiled_cnn_gives_what_the_network_gives(reader):
    lines = [reader.prepare(line(seed, width=80 + 40 * seed)).pixels for seed in range(4)]
    for pixels, found in zip(lines, reader.log_probs(lines), strict=True):
        with torch.inference_mode():
            expected = reader.network(torch.from_numpy(pixels)[None]).log_softmax(-1)[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)


def test_characters_stand_in_order_within_the_picture(reader):
    (found,) = reader.read([line(0)])
    assert "".join(each.text for each in found.characters) == found.text
    edges = [edge for each in found.characters for edge in (each.start, each.end)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] <= edges[-1] <= 1
    assert 0 <= found.score <= 1


def test_paths_pillow_images_and_arrays_read_the_same(reader, tmp_path):
    picture = line(1)
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = reader.read([tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(picture), picture])
    assert len({each.text for each in (*found, *reader.read(picture), *reader.read(tmp_path / "a.png"))}) == 1


def test_a_beam_search_is_at_least_as_likely_as_the_best_path(reader):
    pictures = [line(seed) for seed in range(4)]
    for greedy, searched in zip(reader.read(pictures), reader.read(pictures, beam=Beam(16)), strict=True):
        assert searched.score >= greedy.score - 1e-6


def test_a_saved_model_reads_the_same(reader, tmp_path):
    reader.save(tmp_path / "model", "# card\n")
    again = load(tmp_path / "model", "cpu")
    assert isinstance(again, Reader)
    assert again.alphabet == reader.alphabet
    assert again.read([line(2)])[0].text == reader.read([line(2)])[0].text


def test_an_alphabet_of_another_training_is_refused(reader, tmp_path):
    reader.save(tmp_path / "model", "# card\n")
    Alphabet("ab").save(tmp_path / "model" / "vocabulary.json")
    with pytest.raises(ModelError, match=r"network\.readout"):
        load(tmp_path / "model", "cpu")


def test_several_lines_are_an_error_on_print_and_a_warning_on_photographs():
    picture = np.concatenate([line(0, 24), line(1, 24)])
    with pytest.raises(ImageError, match="shows 2 lines"):
        make_reader().prepare(picture)
    assert "shows 2 lines" in make_reader(ink="any").prepare(picture).warning


def test_a_line_that_reads_far_better_upside_down_is_turned_and_said(reader, monkeypatch):
    picture = line(3)
    (upright,) = reader.read([picture])
    prepared = reader.prepare(picture).pixels

    def log_probs(lines, parallel=True):
        sure = np.log(np.full((len(lines), 4, len(reader.alphabet)), 0.01, np.float32))
        unsure = np.log(np.full((len(lines), 4, len(reader.alphabet)), 0.2, np.float32))
        for place in range(len(lines)):
            sure[place, :, 1] = np.log(0.95)
            unsure[place, :, 2] = np.log(0.3)
        return [unsure[place] if np.array_equal(each, prepared) else sure[place] for place, each in enumerate(lines)]

    monkeypatch.setattr(reader, "log_probs", log_probs)
    (found,) = reader.read([picture])
    assert found.text == "a"
    assert "upside down" in found.warning
    assert upright.warning is None or "upside down" not in upright.warning
