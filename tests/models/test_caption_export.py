"""The networks that are exported say the same as the decoder, whatever its unit, depth and choices."""

from types import SimpleNamespace

import pytest
import torch

from captioner.decoding.steps import Rows
from captioner.models.caption import CaptionConfig, Captioner
from captioner.models.caption_export import STATE, FitNetwork, StartNetwork, StepNetwork, context_names
from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.models.caption_writer import Caption
from captioner.models.search import Finder, SearchNetwork
from captioner.models.search_config import SearchConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.search.phrases import fit_phrases
from captioner.vision.encoder import EncoderConfig, Features
from captioner.vision.images import Transform


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


@torch.no_grad()
def test_what_counts_when_captions_are_chosen_is_the_captioner_s():
    torch.manual_seed(0)
    words = Vocabulary([*SPECIALS, *"abcdefgh"])
    config = CaptionConfig(
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(64, 64))),
        decoder=DecoderConfig(hidden_size=8, embedding_size=6, heads=2, content_vector=True),
    )
    captioner = Captioner.build(config, words)
    channels = captioner.encoder.channels
    images = [SimpleNamespace(tokens=[list(text)]) for text in ("abcd", "abce", "fgh", "abaf", "ccdd", "abab")]
    phrases = fit_phrases(torch.randn(6, channels), images, words, 1.5)
    search = SearchConfig(captioner="", hidden_size=5, size=4, caption_weight=2.0)
    finder = Finder(captioner, search, SearchNetwork(search, 6, channels), phrases)
    grid, texts = torch.randn(2, 9, channels), [["abab", "c"], ["fgh", "hhhh"]]
    captions = [[Caption("", 0.0, 0.0, tuple(text)) for text in several] for several in texts]
    tokens = torch.zeros(2, 2, 6, dtype=torch.long)
    for image, several in enumerate(texts):
        for place, text in enumerate(several):
            ids = [*words.encode(list(text)), words.end]
            tokens[image, place, : len(ids)] = torch.tensor(ids)
    fits = FitNetwork(finder)(grid, tokens)
    pooled = grid.mean(1)
    cosines = finder.read([words.encode(list(text)) for several in texts for text in several]).view(2, 2, -1)
    cosines = (cosines * finder.network.look(pooled)[:, None]).sum(-1)
    places = torch.tensor([0, 0, 1, 1])
    expected = phrases.fit(pooled, tokens.flatten(0, 1), places).view(2, 2)
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(fits, 2.0 * cosines + 1.5 * expected, atol=1e-4, rtol=1e-4)
    chosen = finder.choose(Features.of(grid), captions, 0.7, bfloat16=False)
    assert [several[0].tokens for several in chosen] == [
        captions[image][int(fits[image].argmax())].tokens for image in range(2)
    ]
