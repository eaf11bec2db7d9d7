import pytest
import torch

from captioner.models.search import SearchNetwork
from captioner.models.search_config import SearchConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.search.objective import Contrastive, SearchBatch, SearchItems

CONFIG = SearchConfig(captioner="", hidden_size=6, size=5, dropout=0.0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SearchNetwork(CONFIG, 4, 3)


def test_the_loss_is_the_cross_entropy_of_the_right_answers_in_both_directions(network):
    embedding = torch.randn(9, 4)
    objective = Contrastive(network, embedding, 0.1).eval()
    tokens, lengths, pooled = torch.randint(1, 9, (3, 5)), torch.tensor([5, 3, 4]), torch.randn(3, 3)
    with torch.no_grad():
        loss, numbers = objective(SearchBatch(tokens, lengths, pooled))
        read, seen = network.read(embedding[tokens], lengths), network.look(pooled)
    both = (10 * read @ seen.T).log_softmax(1).diagonal(), (10 * seen @ read.T).log_softmax(1).diagonal()
    assert float(loss) == pytest.approx(-float(both[0].mean() + both[1].mean()) / 2, abs=1e-5)
    assert numbers == {"captions": 3}


def test_vectors_have_length_one_and_padding_changes_none(network):
    words = torch.randn(2, 6, 4)
    alone = network.read(words[:1, :3], torch.tensor([3]))
    padded = network.read(words, torch.tensor([3, 6]))
    assert torch.allclose(alone[0], padded[0], atol=1e-6)
    assert torch.allclose(padded.norm(dim=1), torch.ones(2))


def test_items_draw_captions_and_views_anew_each_epoch():
    class Image:
        def __init__(self, *captions):
            self.tokens = [caption.split() for caption in captions]

    vocabulary = Vocabulary([*SPECIALS, "a", "dog", "cat", "runs"])
    images = [Image("a dog", "a dog runs"), Image("a cat", "cat runs")]
    items = SearchItems(images, torch.arange(8.0).view(2, 2, 2), vocabulary, 20, seed=3)
    batches = [items.collate([items[0, epoch], items[1, epoch]]) for epoch in range(8)]
    for batch in batches:
        ends = batch.sentences[torch.arange(2), batch.lengths - 1]
        assert ends.tolist() == [vocabulary.end] * 2
    assert len({tuple(batch.pooled.flatten().tolist()) for batch in batches}) > 1
    assert len({tuple(batch.sentences.flatten().tolist()) for batch in batches}) > 1
    again = items.collate([items[0, 5], items[1, 5]])
    assert torch.equal(again.sentences, batches[5].sentences)
