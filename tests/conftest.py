"""What all tests share."""

import io
import struct
import tarfile

import cv2
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("captioner", deadline=None)  # a busy machine is no failure
settings.load_profile("captioner")


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
            search_precision="float32",  # what an untrained network says next to equally well would depend on rounding
        )
        torch.manual_seed(seed)
        subwords = Subwords.build((side for pair in sentence_pairs * 3 for side in pair), 90)
        model = Translator.build(config, subwords)
        with torch.no_grad():  # else an untrained network says the same of every sentence
            model.network.decoder.embedding.weight *= 4
            model.network.decoder.bias.normal_()
        return model

    return make


_TIFF_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 10: "ii"}
_SRGB = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]


def _dng_of(pixels: np.ndarray, preview: int | None = None, orientation: int = 1) -> bytes:
    """A DNG file of an sRGB picture (H, W, 3), H and W even, whose camera sees as sRGB screens show.

    Args:
        pixels: uint8, as the sensor lies.
        preview: pixels of the longer side of its JPEG preview; None for none.
        orientation: the TIFF tag.
    """
    linear = (pixels / 255.0) ** 2.2
    mosaic = linear[:, :, 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = linear[0::2, 0::2, 0], linear[1::2, 1::2, 2]
    samples = (mosaic * 65535).round().astype("<u2").tobytes()
    height, width = mosaic.shape
    parts, position = [], 8

    def put(data: bytes) -> int:
        nonlocal position
        at = position
        parts.append(data + b"\0" * (len(data) % 2))
        position += len(parts[-1])
        return at

    def directory(entries) -> int:
        body = b""
        for tag, kind, *values in sorted(entries):
            if kind == 2:
                data, count = values[0], len(values[0])
            else:
                data = struct.pack(f"<{_TIFF_TYPES[kind] * (len(values) // len(_TIFF_TYPES[kind]))}", *values)
                count = len(values) // len(_TIFF_TYPES[kind])
            data = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", put(data))
            body += struct.pack("<HHI", tag, kind, count) + data
        return put(struct.pack("<H", len(entries)) + body + b"\0\0\0\0")

    entries = [
        (254, 4, 0), (256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, 1), (262, 3, 32803),
        (271, 2, b"captioner\0"), (272, 2, b"test camera\0"), (273, 4, put(samples)),
        (274, 3, orientation), (277, 3, 1),
        (278, 4, height), (279, 4, len(samples)), (33421, 3, 2, 2), (33422, 1, 0, 1, 1, 2), (50706, 1, 1, 4, 0, 0),
        (50708, 2, b"captioner test camera\0"), (50714, 3, 0), (50717, 4, 65535),
        (50721, 10, *(n for value in _SRGB for n in (round(value * 10000), 10000))),
        (50728, 5, 1, 1, 1, 1, 1, 1), (50778, 3, 21),
    ]  # fmt: skip
    if preview is not None:
        small = Image.fromarray(pixels)
        small.thumbnail((preview, preview))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=95)
        jpeg = buffer.getvalue()
        below = directory(
            [
                (254, 4, 1), (256, 4, small.width), (257, 4, small.height), (258, 3, 8, 8, 8), (259, 3, 7),
                (262, 3, 6), (273, 4, put(jpeg)), (277, 3, 3), (278, 4, small.height), (279, 4, len(jpeg)),
            ]
        )
        entries.append((330, 4, below))
    first = directory(entries)
    return b"II*\0" + struct.pack("<I", first) + b"".join(parts)


@pytest.fixture(scope="session")
def dng_of():
    """Makes a small DNG file, as a camera would: samples behind colour filters, and a preview if asked for."""
    return _dng_of


@pytest.fixture
def make_tar():
    """Writes a tar file of (name, bytes); returns its path."""

    def make_tar(path, files):
        with tarfile.open(path, "w") as tar:
            for name, data in files:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return make_tar


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3 server that any credentials open."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """A file system with an empty bucket `photos`."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(use_listings_cache=False)
    if system.exists("photos"):
        system.rm("photos", recursive=True)
    system.mkdir("photos")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
