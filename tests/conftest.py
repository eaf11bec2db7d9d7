"""What all tests share."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep converted networks away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


COLOURS = {"red": (40, 40, 220), "blue": (220, 80, 40)}


def _draw_clip(path, colour="red", seed=0, frames=10, rate=10.0, size=(64, 96)):
    draw = np.random.default_rng(seed)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, size[::-1])
    place = draw.uniform(0, 1, 2) * (np.array(size) - 24)
    for _ in range(frames):
        picture = draw.integers(150, 200, (*size, 3), np.uint8)
        place = (place + draw.uniform(-6, 6, 2)).clip(0, np.array(size) - 24)
        top, left = place.astype(int)
        picture[top : top + 24, left : left + 24] = COLOURS[colour]
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture(scope="session")
def draw_clip():
    """Writes a clip in which a coloured square wanders over a noisy ground; returns its path."""
    return _draw_clip


@pytest.fixture(scope="session")
def squares_clips(tmp_path_factory):
    """A folder of ten clips, with a sub-folder for each of the classes blue and red."""
    root = tmp_path_factory.mktemp("clips")
    for colour in COLOURS:
        (root / colour).mkdir()
        for number in range(5):
            _draw_clip(root / colour / f"{number}.avi", colour, seed=10 * number + len(colour))
    return root


@pytest.fixture(scope="session")
def sentence_pairs():
    return [
        ("A man rides a bicycle.", "Ein Mann fährt Fahrrad."),
        ("Two dogs run over the grass.", "Zwei Hunde laufen über das Gras."),
        ("A woman reads.", "Eine Frau liest."),
    ]


@pytest.fixture(scope="session")
def make_translator(sentence_pairs):
    """Makes a translator with random weights whose vocabulary is that of the pairs."""
    import torch

    from captioner.decoding.search import DecodingConfig
    from captioner.models.caption_network import DecoderConfig
    from captioner.models.translate import TranslateConfig, Translator
    from captioner.models.translate_network import SourceConfig
    from captioner.text.bpe import Subwords

    def make(seed=0, unit="gru", **search):
        config = TranslateConfig(
            source="en",
            target="de",
            reader=SourceConfig(unit=unit, hidden_size=8),
            decoder=DecoderConfig(unit="gru", hidden_size=16, embedding_size=12, heads=4),
            search=DecodingConfig(**{"beam_size": 3, "max_length": 12, **search}),
        )
        torch.manual_seed(seed)
        subwords = Subwords.build((side for pair in sentence_pairs * 3 for side in pair), 90)
        model = Translator.build(config, subwords)
        with torch.no_grad():  # else an untrained network says the same of every sentence
            model.network.decoder.embedding.weight *= 4
            model.network.decoder.bias.normal_()
        return model

    return make
