"""The networks that are exported say the same as the decoder, whatever its unit, depth and choices."""

import pytest
import torch

from captioner.decoding.steps import Rows
from captioner.models.caption_export import STATE, StartNetwork, StepNetwork, context_names
from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.vision.encoder import Features


@pytest.mark.parametrize("unit", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize(
    ("layers", "attention", "content"), [(1, True, False), (2, True, True), (2, False, False), (1, False, True)]
)
@torch.no_grad()
def test_start_and_steps_are_the_decoder_s(unit, layers, attention, content):
    torch.manual_seed(layers)
    config = DecoderConfig(
        unit=unit,
        layers=layers,
        hidden_size=8,
        embedding_size=6,
        heads=2,
        attention=attention,
        content_vector=content,
    )
    decoder = CaptionDecoder(config, 5, 11).eval()
    features = Features.of(torch.randn(3, 4, 5))
    state, context = decoder.start(features)
    names = (*STATE[unit], *context_names(decoder))
    parts = dict(zip(names, StartNetwork(decoder)(features.grid), strict=True))
    for beams in (1, 3):
        tokens = torch.randint(0, 11, (3, beams))
        logits, state, weights = decoder.step(tokens.flatten(), state, context, Rows(3, beams))
        log_probs, *rest = StepNetwork(decoder)(tokens, *parts.values())
        torch.testing.assert_close(log_probs.flatten(0, 1), logits.log_softmax(-1))
        if attention:
            torch.testing.assert_close(rest.pop(0).flatten(0, 1), weights)
        for name, new in zip(STATE[unit], rest, strict=True):
            torch.testing.assert_close(new.flatten(0, 1), state[name])
        picked = torch.tensor([0, 0, 0])
        state = {name: value.repeat_interleave(3, 0) for name, value in state.items()}
        parts |= {name: value[:, picked] for name, value in zip(STATE[unit], rest, strict=True)}
