import itertools

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from captioner import processor
from captioner.decoding.steps import DecodingConfig
from captioner.errors import ImageError, UsageError
from captioner.models.caption import Captioner
from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import NetworkConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.batches import Batch
from captioner.training.caption.objective import CrossEntropy
from captioner.vision.encoder import Features

KINDS = [
    {"unit": unit, "layers": layers, "attention": attention, "content_vector": layers == 1}
    for unit, layers, attention in itertools.product(["tanh", "lstm", "gru"], [1, 2], [True, False])
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))


def features(model, images, seed=0):
    """Random features for a model, as different from picture to picture as real ones."""
    rows, columns = model.encoder.grid_shape()
    generator = torch.Generator().manual_seed(seed)
    return Features.of(torch.randn(images, rows * columns, model.encoder.channels, generator=generator))


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


@every_kind
def test_a_beams_score_is_the_teacher_forced_log_probability(build, kind):
    model = build(**kind)
    photos = features(model, 3)
    for row, captions in enumerate(model.generate(photos, DecodingConfig(beam_size=4, num_captions=3, max_length=8))):
        assert len(captions) == 3
        for caption in captions:
            (forced,) = model.score(photos[row : row + 1], [caption.tokens])
            assert caption.log_probability == pytest.approx(forced, abs=1e-4)
            assert caption.score == pytest.approx(forced / (len(caption.tokens) + 1), abs=1e-4)


@every_kind
def test_a_sample_scores_the_same_way(build, kind):
    model = build(**kind)
    photos = features(model, 2)
    options = DecodingConfig("sample", num_captions=2, max_length=8, top_p=0.9, seed=0)
    for row, captions in enumerate(model.generate(photos, options)):
        for caption in captions:
            (forced,) = model.score(photos[row : row + 1], [caption.tokens])
            assert caption.log_probability == pytest.approx(forced, abs=1e-4)


@every_kind
def test_it_learns_two_pictures_by_heart(build, kind):
    model = build(seed=1, dropout=0.0, **kind)
    photos = features(model, 2)
    wanted = [["a", "dog", "runs", "on", "the", "grass"], ["two", "men"]]
    start, end = model.vocabulary.start, model.vocabulary.end
    tokens = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor([start, *model.vocabulary.encode(words), end]) for words in wanted], batch_first=True
    )
    objective = CrossEntropy(model.decoder, None, label_smoothing=0.0).train()
    optimizer = torch.optim.Adam(model.decoder.parameters(), lr=0.01)
    for _ in range(120):
        loss, numbers = objective(Batch(tokens[:, None], photos.grid))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert numbers["words"] == 10
    model.decoder.eval()
    captions = [captions[0] for captions in model.generate(photos)]
    assert [list(caption.tokens) for caption in captions] == wanted
    assert [caption.text for caption in captions] == ["A dog runs on the grass.", "Two men."]


@given(
    kind=st.sampled_from(KINDS),
    lengths=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    padding=st.integers(1, 4),
)
@settings(max_examples=30)
def test_padding_reaches_no_state(build, kind, lengths, padding):
    decoder = build(**kind).decoder
    photo = features(build(**kind), 1)
    tokens = torch.zeros(1, len(lengths), max(lengths) + padding, dtype=torch.long)
    draw = torch.Generator().manual_seed(0)
    for row, length in enumerate(lengths):
        tokens[0, row, :length] = torch.randint(4, 20, (length,), generator=draw)
    with torch.no_grad():
        together = decoder(photo, tokens)[0]
        for row, length in enumerate(lengths):
            alone = decoder(photo, tokens[:, row : row + 1, :length])[0, 0]
            assert torch.allclose(together[row, :length], alone, atol=1e-5)


@every_kind
def test_padding_receives_no_gradient(build, kind):
    model = build(**kind)
    objective = CrossEntropy(model.decoder.eval(), None, label_smoothing=0.1)
    caption = [1, 4, 5, 2]
    gradients = []
    for padding in (0, 5):
        tokens = torch.tensor([[caption + [0] * padding]])
        model.decoder.zero_grad()
        objective(Batch(tokens, features(model, 1).grid))[0].backward()
        gradients.append([value.grad.clone() for value in model.decoder.parameters() if value.grad is not None])
    for without, padded in zip(*gradients, strict=True):
        assert torch.allclose(without, padded, atol=1e-6)


def test_each_captions_words_depend_on_its_own_picture_only(build):
    model = build()
    photos = features(model, 5)
    together = model.generate(photos)
    for row in range(5):
        assert model.generate(photos[row : row + 1])[0][0].tokens == together[row][0].tokens
    assert len({captions[0].tokens for captions in together}) > 1


def test_one_beam_says_the_most_probable_word_each_time(build):
    model = build()
    photos = features(model, 4)
    for row, (caption,) in enumerate(model.generate(photos, DecodingConfig(beam_size=1, max_length=6))):
        words = [model.vocabulary.start, *model.vocabulary.encode(caption.tokens)]
        with torch.no_grad():
            logits = model.decoder.logits(model.decoder(photos[row : row + 1], torch.tensor([[words]])))[0, 0]
        logits[:, [0, 1, 3]] = -torch.inf
        logits[0, model.vocabulary.end] = -torch.inf
        best = logits.argmax(-1).tolist()
        ended = len(caption.tokens) < 6
        assert best[: len(words) - 1] == words[1:]
        assert not ended or best[-1] == model.vocabulary.end


def test_attention_is_a_map_of_the_picture_for_each_word(captioner):
    (captions,) = captioner.generate(features(captioner, 1), attention=True)
    weights = captions[0].attention
    assert weights.shape == (len(captions[0].tokens), *captioner.encoder.grid_shape())
    assert np.allclose(weights.sum((1, 2)), 1, atol=1e-5)
    assert captioner.generate(features(captioner, 1))[0][0].attention is None


def test_without_attention_there_is_no_map(build):
    model = build(attention=False)
    assert model.generate(features(model, 1), attention=True)[0][0].attention is None


def test_without_attention_the_number_of_heads_does_not_matter(build):
    assert build(attention=False, hidden_size=18, heads=4).generate(features(build(), 1))


def test_the_unknown_word_is_never_said(build):
    model = build()
    with torch.no_grad():
        model.decoder.bias[model.vocabulary.unk] = 50
    for options in (DecodingConfig(num_captions=5), DecodingConfig("sample", num_captions=5)):
        for caption in model.generate(features(model, 1), options)[0]:
            assert set(caption.tokens) <= set(model.vocabulary.tokens[4:])


def test_images_of_every_kind_are_captioned(captioner, tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), picture(50, 70)[:, :, ::-1])
    grey = picture(30, 30)[:, :, 0]
    images = [path, str(path), picture(50, 70), Image.fromarray(picture(50, 70)), grey, Image.fromarray(grey)]
    captions = captioner.caption(images)
    assert len({caption.text for caption in captions[:4]}) == 1
    assert captions[4].text == captions[5].text
    assert all(caption.text.endswith(".") and caption.score < 0 for caption in captions)
    assert captioner.caption([]) == []


def test_where_pytorch_does_not_say_what_the_cpu_can_do_that_is_said_once(monkeypatch, caplog):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    processor.multiplies_bfloat16.cache_clear()
    with caplog.at_level("WARNING"):
        assert not processor.multiplies_bfloat16()
        assert not processor.multiplies_bfloat16()
    processor.multiplies_bfloat16.cache_clear()
    assert [record.message for record in caplog.records] == [
        "This PyTorch does not say what the CPU can do, so float32 is used everywhere, more slowly"
    ]


def test_one_image_is_one_image(captioner, tmp_path):
    image = picture(40, 60)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    (wanted,) = captioner.caption([image])
    for one in (image, image / 255, Image.fromarray(image), path, str(path), torch.from_numpy(image)):
        assert captioner.caption(one) == [wanted]
    assert len(captioner.caption(image[:, :, 0])) == 1
    for two in (np.stack([image, image]), iter([image, path])):
        found = captioner.caption(two)
        assert [each.text for each in found] == [wanted.text] * 2
        # products of two rows may be rounded otherwise than those of one
        assert [each.score for each in found] == pytest.approx([wanted.score] * 2, abs=1e-5)
    assert captioner.caption([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        picture(8, 8).astype(np.float32),
        np.full((8, 8, 3), np.nan),
        np.zeros((8, 8, 5)),
        np.zeros((2, 3, 8, 8)),
        np.zeros((3, 8, 8)),
        np.zeros(()),
        b"a photo's bytes",
        [None],
        [{"path": "a.jpg"}],
        [[1, [2]]],
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(captioner, wrong):
    with pytest.raises(ImageError, match="is no image"):
        captioner.caption(wrong)


def test_caption_options_reach_the_search(captioner):
    (caption,) = captioner.caption([picture(50, 70)], max_length=2, attention=True)
    assert len(caption.tokens) <= 2
    assert caption.attention.shape[1:] == (2, 3)


def test_an_image_that_cannot_be_read_is_named(captioner, tmp_path):
    with pytest.raises(ImageError, match=r"none\.jpg"):
        captioner.caption([tmp_path / "none.jpg"])


def test_features_in_torch_and_in_the_engine_agree(captioner):
    pixels = np.stack([picture(64, 96, seed) for seed in range(2)])
    fast = captioner.encode(pixels)
    with torch.no_grad():
        slow = captioner.encoder(torch.from_numpy(pixels))
    assert torch.allclose(fast.grid, slow, atol=1e-3)
    assert fast.grid.shape == (2, 6, captioner.encoder.channels)
    assert torch.allclose(fast.pooled, slow.mean(1), atol=1e-3)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[7]], ids=str)
def test_a_saved_model_says_the_same(build, tmp_path, kind):
    model = build(**kind)
    model.save(tmp_path / "model", "# A model card")
    loaded = Captioner.load(tmp_path / "model")
    photos = features(model, 3)
    for before, after in zip(model.generate(photos), loaded.generate(photos), strict=True):
        assert before[0].tokens == after[0].tokens
        assert before[0].score == pytest.approx(after[0].score, abs=0.01)  # weights are stored as float16
    assert loaded.config == model.config
    assert (tmp_path / "model" / "README.md").read_text() == "# A model card"


def multiplies_bfloat16():
    capabilities = torch.cpu.get_capabilities()
    return capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this CPU has no bfloat16 products, so float32 is used")
def test_a_search_in_bfloat16_says_nearly_what_float32_does_and_follows_the_weights(build):
    model, other = build(), build()
    config = other.config.model_copy(update={"search_precision": "bfloat16"})
    other = Captioner(config, other.vocabulary, other.encoder, other.decoder)
    draw = np.random.default_rng(1)
    features = model.encode(draw.integers(0, 256, (6, 64, 96, 3), np.uint8))
    for _ in range(2):
        exact, near = model.generate(features), other.generate(features)
        for first, second in zip(exact, near, strict=True):
            assert second[0].score == pytest.approx(first[0].score, abs=0.05)
            assert second[0].score != first[0].score
        with torch.no_grad():
            for each in (model, other):
                each.decoder.bias += torch.linspace(-2, 2, len(each.decoder.bias))


def language_model(seed=5):
    torch.manual_seed(seed)
    config = LanguageConfig(network=NetworkConfig(hidden_size=8, embedding_size=8))
    language = LanguageModel.build(config, Vocabulary([*SPECIALS, "dog", "a", "grass", "the", "runs"]))
    with torch.no_grad():
        language.network.bias.normal_(std=3)
    return language


def test_a_language_model_changes_what_is_said_but_scores_stay_the_captioners(build):
    model = build()
    photos, options = features(model, 3), DecodingConfig(beam_size=4, num_captions=3, max_length=8)
    alone = model.generate(photos, options)
    model.fuse(language_model(), 0.0)
    unchanged = model.generate(photos, options)
    model.fuse(language_model(), 2.0)
    fused = model.generate(photos, options)
    for row in range(3):
        assert [caption.text for caption in unchanged[row]] == [caption.text for caption in alone[row]]
        for caption in (*fused[row], *unchanged[row]):
            (forced,) = model.score(photos[row : row + 1], [caption.tokens])
            assert caption.log_probability == pytest.approx(forced, abs=1e-4)
    assert [row[0].text for row in fused] != [row[0].text for row in alone]
    assert len({fluency(row[0]) > fluency(other[0]) for row, other in zip(fused, alone, strict=True)}) == 1


def fluency(caption):
    return language_model().score_lines([" ".join(caption.tokens)])[0].log_probability / (len(caption.tokens) + 1)


def test_a_wrong_weight_of_a_language_model_is_refused_at_once(build):
    with pytest.raises(UsageError, match="weight is -1"):
        build().fuse(language_model(), -1)


def test_a_language_model_of_characters_cannot_say_how_likely_words_are(build):
    language = language_model()
    language.config = language.config.model_copy(update={"tokens": "characters"})
    with pytest.raises(UsageError, match="predicts characters; take one of words or captions"):
        build().fuse(language, 1.0)


def test_a_model_is_where_its_decoder_was_moved_to(build):
    model = build()
    assert model.device == torch.device("cpu")
    model.decoder.to("meta")
    assert model.device == torch.device("meta")
