import pytest
import torch

from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.batches import Batch
from captioner.training.caption.objective import CrossEntropy, SelfCritical
from captioner.training.ema import Ema

VOCABULARY = Vocabulary([*SPECIALS, "a", "red", "blue", "dog", "cat"])


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    config = DecoderConfig(hidden_size=16, embedding_size=16, heads=2, dropout=0.0, layers=1)
    return CaptionDecoder(config, channels=4, vocabulary_size=len(VOCABULARY))


def batch(photos=2):
    grid = torch.eye(4)[:photos, None].expand(-1, 3, -1).contiguous()
    return Batch(torch.tensor([[[1, 4, 5, 7, 2]]] * photos), grid, names=("p0", "p1")[:photos])


def test_cross_entropy_is_the_mean_over_words_and_padding_changes_nothing(decoder):
    objective = CrossEntropy(decoder, None, label_smoothing=0.0)
    loss, numbers = objective(batch())
    padded = batch()
    padded.tokens = torch.nn.functional.pad(padded.tokens, (0, 3))
    again, _ = objective(padded)
    logits = decoder.logits(decoder(batch().features, batch().tokens[..., :-1])).log_softmax(-1)
    by_hand = -logits.gather(-1, batch().tokens[..., 1:, None]).mean()
    assert numbers == {"words": 8}
    torch.testing.assert_close(loss, by_hand)
    torch.testing.assert_close(loss, again)


def test_label_smoothing_mixes_in_the_mean_over_all_words(decoder):
    plain, _ = CrossEntropy(decoder, None, 0.0)(batch())
    smooth, _ = CrossEntropy(decoder, None, 0.2)(batch())
    logits = decoder.logits(decoder(batch().features, batch().tokens[..., :-1])).log_softmax(-1)
    torch.testing.assert_close(smooth, 0.8 * plain - 0.2 * logits.mean())


def test_self_critical_training_raises_the_reward(decoder):
    references = {"p0": [["a", "red", "dog"], ["a", "red", "cat"]], "p1": [["a", "blue", "cat"], ["blue", "cat"]]}
    objective = SelfCritical(decoder, VOCABULARY, references, samples=8, max_length=5)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.01)
    rewards = []
    for _ in range(120):
        loss, numbers = objective(batch())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rewards.append(numbers["reward"])
    assert sum(rewards[-10:]) / 10 > 3 * sum(rewards[:10]) / 10 > 0


def test_captions_learn_to_end_where_the_references_do(decoder):
    references = {"p0": [["a", "red", "dog"]] * 2, "p1": [["a", "blue", "cat"]] * 2}
    objective = SelfCritical(decoder, VOCABULARY, references, samples=2, max_length=9)
    ends = objective.reward.scores(["p0", "p0"], [["a", "red", "dog", "<end>"], ["a", "red", "dog"]])
    assert ends[0] > ends[1]


def test_equal_samples_have_no_advantage(decoder):
    with torch.no_grad():
        decoder.bias[VOCABULARY.end] = 100.0  # every sample ends at once
    loss, _ = SelfCritical(decoder, VOCABULARY, {"p0": [["a"]], "p1": [["cat"]]}, samples=4, max_length=5)(batch())
    loss.backward()
    assert all(value.grad is None or not value.grad.any() for value in decoder.parameters())


def test_the_average_follows_the_weights_and_leaves_no_trace(decoder, tmp_path):
    average = Ema(decoder, decay=0.5)
    before = decoder.bias.clone()
    with torch.no_grad():
        decoder.bias += 1
    for _ in range(30):
        average.update()
    torch.testing.assert_close(average.weights["bias"], before + 1)
    with torch.no_grad():
        decoder.bias += 1
    with average.in_place():
        torch.testing.assert_close(decoder.bias.detach(), before + 1)
    torch.testing.assert_close(decoder.bias.detach(), before + 2)
    average.save(tmp_path / "a.safetensors")
    copy = Ema(decoder, decay=0.5)
    copy.load(tmp_path / "a.safetensors")
    assert copy.updates == 30
    torch.testing.assert_close(copy.weights["bias"], before + 1)
