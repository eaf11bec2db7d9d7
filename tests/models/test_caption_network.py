import pytest
import torch

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
    for beams in (1, 3, 3):
        tokens = torch.randint(20, (4, beams))
        state = {name: value[:, :1].expand(-1, beams, -1, -1) for name, value in state.items()}
        ready_state = {name: value[:, :1].expand(-1, beams, -1, -1) for name, value in ready_state.items()}
        logits, state, weights = decoder.step(tokens, state, context)
        ready_logits, ready_state, ready_weights = ready.step(tokens, ready_state, ready_context)
        torch.testing.assert_close(ready_logits, logits)
        torch.testing.assert_close(ready_state, state)
        torch.testing.assert_close(ready_weights, weights)
