from pathlib import Path

import torch

from captioner.data.clips import LabelledClip
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork
from captioner.training.classify.fit import fit_projection, read_examples
from captioner.vision.clip_features import FramesConfig


class Cache:
    """Random features (frames, streams, channels) of clips, on the CPU, as the real one reads them."""

    views, frames = 1, FramesConfig.model_validate({"count": 4})

    def read(self, clip):
        return [torch.randn(4, 2, 6), torch.randn(4, 2, 6)]


def test_examples_are_where_the_network_is():
    clips = [LabelledClip(Path(f"{name}.avi"), name, name) for name in ("a", "b")]
    network = ClassifierNetwork(ClassifierConfig(components=3, hidden_size=4), channels=6, classes=2)
    fit_projection(network, Cache(), clips)
    examples = read_examples(network.to("meta"), Cache(), clips, ["a", "b"])
    assert examples.inputs.device.type == "meta"
