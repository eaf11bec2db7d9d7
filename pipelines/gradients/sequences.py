"""What `captioner gradients` looks at: networks together with the sequences that they read and the error at the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, ctc_loss, normalize, pad

from captioner.data.text import read_text
from captioner.decoding.ctc import best_path
from captioner.errors import CaptionerError
from captioner.models.caption import Captioner
from captioner.models.classify import VideoClassifier
from captioner.models.classify_network import Member
from captioner.models.classify_network import pad as pad_clips
from captioner.models.language import LanguageModel
from captioner.models.read import Reader
from captioner.pipelines.folder.inputs import find_inputs, shown
from captioner.recurrent.capacity import require_memory
from captioner.recurrent.gradients import set_spectral_radius
from captioner.recurrent.units import Recurrent
from captioner.vision.clip_features import encode
from captioner.vision.encoder import Features
from captioner.vision.images import SUFFIXES, read_image
from captioner.vision.video import CLIP_SUFFIXES, Video

RADII = (0.5, 1.0, 1.5)
# fresh networks: inputs so small that the states stay where tanh is steep, as the bound assumes
FRESH = {"sequences": 4, "input_size": 16, "hidden_size": 64}
INPUT_SCALE = 0.1


@dataclass(frozen=True)
class Sequences:
    """A network and what it reads.

    Attributes:
        label: what to call it.
        network: the recurrent part.
        inputs: (batch, steps, input_size).
        lengths: (batch,).
        of_outputs: (batch, steps, hidden_size * directions), the gradient of each sequence's error with respect to the
            network's outputs; for E_t, an error at the last step only, it is zero elsewhere.
        radius: spectral radius of a fresh network's recurrent weights.
    """

    label: str
    network: Recurrent
    inputs: Tensor
    lengths: Tensor
    of_outputs: Tensor
    radius: float | None = None


def fresh(units: Sequence[str], steps: int, seed: int) -> list[Sequences]:
    """Untrained networks of each unit at each of `RADII`, with random inputs; E_t is a random sum of the last state.

    Raises:
        DataError: more steps than memory allows.
    """
    count, width, hidden = FRESH.values()
    require_memory(each_step=8 * count * (3 * width + 12 * hidden), steps=steps, what="gradients")
    found = []
    for radius in RADII:
        for unit in units:
            torch.manual_seed(seed)
            network = Recurrent(unit, width, hidden)
            set_spectral_radius(network, radius)
            inputs = INPUT_SCALE * torch.randn(count, steps, width)
            of_last = normalize(torch.randn(count, 1, hidden), dim=-1)
            of_outputs = pad(of_last, (0, 0, steps - 1, 0))
            found.append(Sequences(unit, network, inputs, torch.full((count,), steps), of_outputs, radius))
    return found


def of_captioner(model: Captioner, arguments: Sequence[str]) -> tuple[list[Sequences], list[str]]:
    """The states of photos' captions, from the picture to the end; E_t = -log p(end).

    Returns:
        what the decoder reads, nothing if no photo could be read; and what could not be read, with the reason.

    Raises:
        UsageError: no such file or folder.
    """
    inputs = find_inputs(arguments, SUFFIXES)
    errors, pixels = [f"{shown(path)}: {reason}" for path, reason in inputs.problems], []
    for path in inputs.paths:
        try:
            pixels.append(model.transform(read_image(Path(path), at_least=model.transform.at_least)))
        except CaptionerError as problem:
            errors.append(str(problem))
    if not pixels:
        return [], errors
    features = model.encode(np.stack(pixels)).to(model.device)
    features = Features(features.grid.clone(), features.pooled.clone())  # may come from inference mode
    captions = [found[0].tokens for found in model.generate(features)]
    lengths = torch.tensor([len(caption) + 1 for caption in captions])
    tokens = torch.full((len(captions), 1, int(lengths.max())), model.vocabulary.pad)
    for row, caption in enumerate(captions):
        tokens[row, 0, : lengths[row]] = torch.tensor([model.vocabulary.start, *model.vocabulary.encode(caption)])

    def error() -> Tensor:
        readout = model.decoder(features, tokens.to(model.device))
        last = readout[torch.arange(len(captions)), 0, lengths - 1]
        ends = torch.full((len(captions),), model.vocabulary.end, device=model.device)
        return cross_entropy(model.decoder.logits(last), ends, reduction="sum")

    read, of_outputs = _record(model.decoder.recurrent, error)
    # the picture comes before the words
    return [Sequences(model.name, model.decoder.recurrent, read, lengths + 1, of_outputs)], errors


def of_classifier(model: VideoClassifier, arguments: Sequence[str]) -> tuple[list[Sequences], list[str]]:
    """The first member's states over clips' frames; E_t = -log p(class), of the class that it takes for the surest.

    Returns:
        what the member reads, nothing if no clip could be read; and what could not be read, with the reason.

    Raises:
        UsageError: no such file or folder.
    """
    inputs = find_inputs(arguments, CLIP_SUFFIXES, kind="clips", frames=True)
    errors, seen = [f"{shown(path)}: {reason}" for path, reason in inputs.problems], []
    for path in inputs.paths:
        try:
            with Video(path) as video:
                seen.append(model.see(video, 0.0, video.duration))
        except CaptionerError as problem:
            errors.append(str(problem))
    if not seen:
        return [], errors
    clips, lengths = pad_clips(
        [clip.to(model.device, torch.float32) for clip in encode([each.pixels for each in seen], model.encoder)]
    )
    member = model.network.members[0]
    assert isinstance(member, Member)
    projected = model.network.project(clips.clone())

    def error() -> Tensor:
        logits, _ = member(projected, lengths)
        return cross_entropy(logits, logits.argmax(-1), reduction="sum")

    read, of_outputs = _record(member.recurrent, error)
    return [Sequences(model.name, member.recurrent, read, lengths, of_outputs)], errors


def of_language_model(model: LanguageModel, arguments: Sequence[str], steps: int) -> tuple[list[Sequences], list[str]]:
    """The states of each text's first words; E_t = -log p(next word) after `steps` of them.

    Returns:
        what the network reads, nothing if no text could be read; and what could not be read, with the reason.

    Raises:
        DataError: more steps than memory allows.
    """
    texts, errors = [], []
    for path in arguments:
        try:
            ids = [id for line in model.encode(read_text(Path(path))) for id in line]
        except CaptionerError as problem:
            errors.append(str(problem))
            continue
        texts.append(torch.tensor([model.vocabulary.end, *ids[:steps]]))
    if not texts:
        return [], errors
    network, longest = model.network, max(map(len, texts)) - 1
    each = 4 * (3 * network.recurrent.input_size + 16 * network.recurrent.hidden_size * network.recurrent.layers)
    require_memory(each_step=3 * len(texts) * each, steps=longest, what="gradients", device=model.device)
    lengths = torch.tensor([len(text) - 1 for text in texts])
    tokens = torch.nn.utils.rnn.pad_sequence([text[:-1] for text in texts], batch_first=True).to(model.device)
    targets = torch.stack([text[-1] for text in texts]).to(model.device)

    def error() -> Tensor:
        readout, _ = network(tokens)
        last = readout[torch.arange(len(texts)), lengths - 1]
        return cross_entropy(network.logits(last), targets, reduction="sum")

    read, of_outputs = _record(network.recurrent, error)
    return [Sequences(model.name, network.recurrent, read, lengths, of_outputs)], errors


def of_reader(model: Reader, arguments: Sequence[str]) -> tuple[list[Sequences], list[str]]:
    """The states over lines' columns; E = -log p(text), of the text that it reads, summed over all its labellings.

    Returns:
        what the recurrent network reads, nothing if no line could be read; and what could not be read, with the reason.

    Raises:
        UsageError: no such file or folder.
        DataError: a line has more columns than memory allows.
    """
    inputs = find_inputs(arguments, SUFFIXES, kind="lines")
    errors, lines = [f"{shown(path)}: {reason}" for path, reason in inputs.problems], []
    for path in inputs.paths:
        try:
            lines.append(model.prepare(read_image(Path(path))).pixels)
        except CaptionerError as problem:
            errors.append(f"{shown(path)}: {str(problem).removeprefix(f'{path}: ')}")
    if not lines:
        return [], errors
    columns = [each.clone() for each in model.encode(lines)]  # may come from inference mode
    lengths = torch.tensor([len(each) for each in columns])
    network = model.network.recurrent
    each = 4 * (3 * network.input_size + 16 * network.hidden_size * network.layers)
    require_memory(each_step=3 * len(lines) * each, steps=int(lengths.max()), what="gradients", device=model.device)
    padded = torch.nn.utils.rnn.pad_sequence(columns, batch_first=True).to(model.device)

    def error() -> Tensor:
        log_probs = model.network.read(padded, lengths).float().log_softmax(dim=-1)
        texts = [best_path(row[:length]) for row, length in zip(log_probs, lengths.tolist(), strict=True)]
        targets = torch.tensor([label for text in texts for label in text], dtype=torch.long)
        counts = torch.tensor([len(text) for text in texts])
        return ctc_loss(log_probs.transpose(0, 1).cpu(), targets, lengths, counts, reduction="sum")

    read, of_outputs = _record(network, error)
    return [Sequences(model.name, network, read, lengths, of_outputs)], errors


def _record(network: Recurrent, error: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """What a network reads while an error is computed, and the error's gradient with respect to its outputs."""
    seen: dict[str, Tensor] = {}

    def keep(_: torch.nn.Module, arguments: tuple[Tensor, ...], results: tuple[Tensor, object]) -> None:
        seen["inputs"], seen["outputs"] = arguments[0].detach(), results[0]

    with network.register_forward_hook(keep):
        value = error()
    return seen["inputs"], torch.autograd.grad(value, seen["outputs"])[0]
