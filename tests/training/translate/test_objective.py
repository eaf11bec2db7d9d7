import pytest
import torch

from captioner.training.batches import make_loader
from captioner.training.translate.objective import PairItems, TranslationLoss, validate


def test_a_batch_holds_both_sides_from_start_to_end(make_translator, sentence_pairs):
    model = make_translator()
    items = PairItems(sentence_pairs, model.subwords, dropout=0.0, seed=0)
    batch = items.collate([items[0, 0], items[1, 0]])
    assert batch.sentences[0, : batch.lengths[0]].tolist() == model.subwords.encode([sentence_pairs[0][0]])[0]
    target = [1, *model.subwords.encode([sentence_pairs[0][1]])[0], 2]
    assert batch.tokens[0, : len(target)].tolist() == target


def test_the_loss_without_smoothing_is_the_mean_log_probability_of_a_piece(make_translator, sentence_pairs):
    model = make_translator()
    items = PairItems(sentence_pairs, model.subwords, dropout=0.0, seed=0)
    batch = items.collate([items[item, 0] for item in range(3)])
    loss, numbers = TranslationLoss(model.network, 0.0).eval()(batch)
    total = sum(model.score([source for source, _ in sentence_pairs], [target for _, target in sentence_pairs]))
    assert float(loss.detach()) * numbers["pieces"] == pytest.approx(-total, rel=1e-4)


@pytest.fixture(scope="module")
def learnt(make_translator, sentence_pairs):
    model = make_translator(max_length=40)
    loader = make_loader(PairItems(sentence_pairs, model.subwords, dropout=0.0, seed=0), 3, seed=0)
    objective = TranslationLoss(model.network, 0.0)
    for module in objective.modules():
        if hasattr(module, "probability"):
            module.probability = 0.0
    optimizer = torch.optim.AdamW(objective.parameters(), lr=0.02)
    for _ in range(100):
        for batch in loader:
            loss, _ = objective.train()(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    objective.eval()
    return model


def test_a_small_network_learns_its_pairs_by_heart(learnt, sentence_pairs):
    score, scores = validate(learnt, {"own": sentence_pairs})
    assert score == pytest.approx(100)
    assert scores["own"]["chrF"] == pytest.approx(100)


def test_what_a_search_reports_is_the_teacher_forced_log_probability(learnt, sentence_pairs):
    found = learnt.translate([source for source, _ in sentence_pairs])
    scores = learnt.score([source for source, _ in sentence_pairs], [each.text for each in found])
    assert [each.log_probability for each in found] == pytest.approx(scores, abs=1e-3)
