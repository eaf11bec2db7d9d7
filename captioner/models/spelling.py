"""A language model of characters, fused with a reader."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from captioner.errors import ModelError
from captioner.models.language import LanguageModel
from captioner.models.language_network import LanguageNetwork
from captioner.recurrent.units import State
from captioner.text.alphabet import BLANK, Alphabet
from captioner.text.vocabulary import Vocabulary


class Speller:
    """Scores the characters that may follow a text; `captioner.decoding.ctc.NextCharacter` of a trained model.

    Each text is the one before it and a character more, so only that character is read; a search begins with the empty
    text.

    Args:
        model: trained with `data.tokens: characters`.
        alphabet: of the reader.

    Raises:
        ModelError: the model predicts words.
    """

    def __init__(self, model: LanguageModel, alphabet: Alphabet) -> None:
        if model.config.tokens != "characters":
            raise ModelError(
                f"{model.name} predicts words, not characters; train one with data.tokens: characters, as "
                "configs/characters.yaml does."
            )
        self.network: LanguageNetwork = model.network
        self.device: torch.device = model.device
        ids = [Vocabulary.pad, *model.vocabulary.encode(alphabet.characters)]
        self._ids: Tensor = torch.tensor(ids, device=self.device)
        self._states: dict[tuple[int, ...], State] = {}

    @torch.inference_mode()
    def score(self, texts: Sequence[tuple[int, ...]]) -> NDArray[np.float32]:
        """Log-probabilities (texts, classes) of the character that follows each text; the blank's mean nothing.

        Args:
            texts: ids of the alphabet; each but the empty one is a text that was asked for before and a character more.
        """
        if () in texts:
            self._states = {}
        last = torch.tensor([int(self._ids[text[-1]]) if text else Vocabulary.end for text in texts])
        empty = self.network.recurrent.initial_state(1, like=self.network.bias)
        before = [self._states[text[:-1]] if text else empty for text in texts]
        state = {name: torch.cat([each[name] for each in before]) for name in empty}
        readout, after = self.network(last[:, None].to(self.device), state)
        for place, text in enumerate(texts):
            self._states[text] = {name: value[place : place + 1] for name, value in after.items()}
        log_probs = self.network.logits(readout[:, 0]).float().log_softmax(dim=-1)
        scores = log_probs[:, self._ids].cpu().numpy()
        scores[:, BLANK] = 0.0
        return np.asarray(scores, np.float32)
