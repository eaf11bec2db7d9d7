import numpy as np
import pytest
import torch

from captioner.errors import ModelError
from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import NetworkConfig
from captioner.models.spelling import Speller
from captioner.text.alphabet import Alphabet
from captioner.text.vocabulary import SPECIALS, Vocabulary


def model(tokens="characters"):
    torch.manual_seed(0)
    config = LanguageConfig(tokens=tokens, network=NetworkConfig(hidden_size=8, embedding_size=6))
    return LanguageModel.build(config, Vocabulary([*SPECIALS, *"abc "]))


def test_each_character_is_scored_as_the_model_scores_the_whole_text():
    spoken = model()
    speller = Speller(spoken, Alphabet("abcx"))
    speller.score([()])
    total = float(speller.score([()])[0, 2]) + float(speller.score([(2,)])[0, 1])
    ids = torch.tensor([spoken.vocabulary.encode("ba")])
    assert total == pytest.approx(spoken.score_stream(ids).log_probability, abs=1e-4)


def test_several_texts_are_scored_together_and_unknown_characters_as_unknown():
    speller = Speller(model(), Alphabet("abcx"))
    speller.score([()])
    apart = np.concatenate([speller.score([(1,)]), speller.score([(2,)])])
    assert np.allclose(speller.score([(1,), (2,)]), apart, atol=1e-5)
    assert np.isfinite(apart).all()


def test_a_model_of_words_has_nothing_to_say():
    with pytest.raises(ModelError, match="not characters"):
        Speller(model("words"), Alphabet("ab"))
