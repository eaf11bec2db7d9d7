import pytest
import torch

from captioner.data.captions import CaptionedImage
from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.batches import Batch
from captioner.training.caption.content import CrossEntropyOfText, is_content, regress_content
from captioner.vision.encoder import Features

VOCABULARY = Vocabulary([*SPECIALS, "a", "dog", "cat", "horse", "runs", "sits"])
CAPTIONS = [["a", who, what] for who in ("dog", "cat", "horse") for what in ("runs", "sits")]


def make_decoder(content_vector):
    torch.manual_seed(0)
    config = DecoderConfig(hidden_size=24, embedding_size=24, heads=2, dropout=0.0, content_vector=content_vector)
    return CaptionDecoder(config, channels=5, vocabulary_size=len(VOCABULARY))


def text():
    rows = [[VOCABULARY.start, *VOCABULARY.encode(caption), VOCABULARY.end] for caption in CAPTIONS]
    return Batch(torch.tensor(rows * 8)[:, None])


def learn(decoder):
    objective = CrossEntropyOfText(decoder, VOCABULARY, label_smoothing=0.0)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.01)
    for _ in range(150):
        loss, numbers = objective(text())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert numbers == {"words": 4 * 48}
    return float(loss.detach())


def test_words_that_say_nothing_of_a_photo_are_no_content():
    assert [VOCABULARY.tokens[i] for i in is_content(VOCABULARY).nonzero().flatten()] == list(VOCABULARY.tokens[5:])


def test_text_is_told_by_its_own_words_where_there_is_a_content_vector():
    blind = (torch.log(torch.tensor(3.0)) + torch.log(torch.tensor(2.0))) / 4  # of each caption's four words
    assert learn(make_decoder(content_vector=False)) > 0.95 * blind
    assert learn(make_decoder(content_vector=True)) < 0.75 * blind


def test_after_text_and_a_regression_photos_are_described_that_were_never_trained_on():
    decoder = make_decoder(content_vector=True)
    learn(decoder)
    codes = torch.tensor([[1.0 * (w in caption) for w in VOCABULARY.tokens[5:]] for caption in CAPTIONS])
    photos = (codes + 0.05 * torch.randn(20, *codes.shape)).flatten(0, 1)
    images = [CaptionedImage(i, f"{i}", "train", ("",), (tuple(CAPTIONS[i % 6]),)) for i in range(len(photos))]
    regress_content(decoder, photos, images, VOCABULARY)
    with torch.no_grad():
        content = decoder.content(codes)
        scores = torch.stack([-_losses(decoder, content, row) for row in range(6)], 1)
    assert scores.argmax(1).tolist() == list(range(6))


def _losses(decoder, content, row):
    """The cross-entropy of one caption for each content vector."""
    tokens = text().tokens[row : row + 1].expand(len(content), -1, -1)
    log_probs = decoder.logits(decoder(None, tokens[..., :-1], content)).log_softmax(-1)
    return -log_probs.gather(-1, tokens[..., 1:, None]).sum((1, 2, 3))


@pytest.mark.parametrize("attention", [True, False])
def test_every_words_output_depends_on_the_content_vector(attention):
    torch.manual_seed(0)
    config = DecoderConfig(
        hidden_size=8, embedding_size=8, heads=2, dropout=0.0, content_vector=True, attention=attention
    )
    decoder = CaptionDecoder(config, channels=5, vocabulary_size=len(VOCABULARY))
    grid = torch.randn(1, 3, 5)
    pooled = torch.randn(2, 1, 5)
    tokens = torch.tensor([[[1, 4, 5, 8, 4, 5]]])
    first, second = (decoder(Features(grid, each), tokens) for each in pooled)
    assert ((first - second).abs().amax(-1) > 1e-2).all()
