import pytest
import torch

from captioner.decoding.steps import Rows
from captioner.models.caption_network import CaptionDecoder, DecoderConfig, SearchDecoder
from captioner.vision.encoder import Features


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("unit", ["tanh", "lstm", "gru"])
@torch.no_grad()
def test_a_decoder_made_ready_for_searches_steps_as_before(unit, attention):
    torch.manual_seed(0)
    config = DecoderConfig(unit=unit, layers=2, hidden_size=12, embedding_size=10, attention=attention, heads=3)
    decoder = CaptionDecoder(config, channels=8, vocabulary_size=20).eval()
    ready = SearchDecoder(decoder)
    features = Features.of(torch.randn(4, 9, 8))
    (state, context), (ready_state, ready_context) = decoder.start(features), ready.start(features)
    for rows, parents in (
        (Rows(4, 1), [0, 1, 2, 3]),
        (Rows(4, 3), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
        (Rows(4, 3, torch.tensor([0, 2, 3, 7, 11])), [1, 2, 3, 6, 10]),
    ):
        tokens = torch.randint(20, (len(parents),))
        state, ready_state = ({name: value[parents] for name, value in each.items()} for each in (state, ready_state))
        logits, state, weights = decoder.step(tokens, state, context, rows)
        ready_logits, ready_state, ready_weights = ready.step(tokens, ready_state, ready_context, rows)
        torch.testing.assert_close(ready_logits, logits)
        torch.testing.assert_close(ready_state, state)
        torch.testing.assert_close(ready_weights, weights)
