"""Pretrained CNNs (any of timm's) that turn pixels into a grid of region features and its mean.

The network itself is a plain `nn.Module`, which training fine-tunes. For inference `Engine` runs it where it is
fastest: OpenVINO on a CPU, PyTorch with channels last on a GPU.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from captioner.errors import ModelError
from captioner.vision import compiled
from captioner.vision.hub_weights import cached_weights
from captioner.vision.images import Pixels, Transform
from captioner.weights import read_tensors

Precision = Literal["float32", "bfloat16"]


@dataclass
class Features:
    """What a CNN says of a batch of images.

    Attributes:
        grid: (images, regions, channels); regions are the last feature map's cells, row by row.
        pooled: (images, channels), the mean over regions.
        real: (images, regions), False where the grid is padding, which nothing attends to; None where nothing is.
    """

    grid: Tensor
    pooled: Tensor
    real: Tensor | None = None

    @classmethod
    def of(cls, grid: Tensor) -> "Features":
        """Features of a grid (images, regions, channels), with its mean as the pooled vector."""
        return cls(grid, grid.mean(dim=1))

    def __len__(self) -> int:
        return len(self.grid)

    def __getitem__(self, index: slice | Tensor | list[int]) -> "Features":
        return Features(self.grid[index], self.pooled[index], None if self.real is None else self.real[index])

    def to(self, target: torch.device | torch.dtype | str) -> "Features":
        """The same features on another device, or in another type."""
        real = self.real if self.real is None or isinstance(target, torch.dtype) else self.real.to(target)
        return Features(self.grid.to(target), self.pooled.to(target), real)


class EncoderConfig(BaseModel):
    """The CNN of a model, and how images become its input.

    Attributes:
        name: timm's.
        transform: of images.
        precision: of the arithmetic on a CPU.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    transform: Transform
    precision: Precision = "float32"


class Encoder(nn.Module):
    """A timm CNN without its classifier, with the normalisation it was trained with built in.

    Args:
        name: timm's name of the network, such as `mobilenetv2_100` or `resnet50`.
        transform: how images become its input; `default_transform(name)` gives timm's.
        pretrained: fetch ImageNet weights through the model hub.

    Raises:
        ModelError: timm has no such network, or its last features are no grid.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, transform: Transform, *, pretrained: bool = False) -> None:
        super().__init__()
        self.name = name
        self.transform = transform
        self.cnn = _create(name, pretrained=pretrained)
        self.channels: int = self.cnn.num_features
        self.register_buffer("mean", 255 * torch.tensor(transform.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(transform.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """The grid (images, regions, channels) of uint8 RGB pixels (images, height, width, 3)."""
        images = pixels.permute(0, 3, 1, 2)  # NHWC memory seen as NCHW: already channels last
        grid = self.cnn.forward_features((images.float() - self.mean) / self.std)
        if grid.ndim != 4 or grid.shape[1] != self.channels:
            raise ModelError(
                f"encoder {self.name}: its last features have shape {tuple(grid.shape)}, not (images, channels, rows, "
                "columns); choose a convolutional network, such as resnet50 or mobilenetv2_100."
            )
        return grid.flatten(2).transpose(1, 2)

    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the last feature map for this transform's image size."""
        reduction = self.cnn.feature_info[-1]["reduction"]
        height, width = self.transform.size
        return -(-height // reduction), -(-width // reduction)

    def freeze(self, share: float) -> None:
        """Stop training some weights, and make the others fit for training.

        Args:
            share: of the layers, 0 to 1, counted in timm's own groups from the stem up.
        """
        from timm.models import group_parameters

        groups: dict[int, list[str]] = group_parameters(self.cnn, self.cnn.group_matcher(coarse=False))
        parameters = dict(self.cnn.named_parameters())
        frozen = sorted(groups)[: round(share * len(groups))]
        for layer, names in groups.items():
            for name in names:
                parameters[name].requires_grad_(layer not in frozen)
        for module in self.cnn.modules():
            depthwise = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
            if depthwise and module.weight.requires_grad:
                module.forward = partial(_in_float32, module)

    def train(self, mode: bool = True) -> "Encoder":
        """Switch dropout and the like; batch statistics stay as pretrained, since fine-tuning batches are small."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def _in_float32(module: nn.Conv2d, images: Tensor) -> Tensor:
    """A depthwise convolution without autocast on a CPU, where the gradients of its filters take long in bfloat16.

    In float32 the upper 70 % of an EfficientNet-Lite2 take 42 ms a photo of 260 pixels instead of 65 (one thread of an
    EPYC with AVX-512 BF16).
    """
    if images.device.type != "cpu":
        return type(module).forward(module, images)
    with torch.autocast("cpu", enabled=False):
        return type(module).forward(module, images.float()).to(images.dtype)


def _create(name: str, *, pretrained: bool) -> Any:
    import timm

    if not timm.is_model(name):  # timm would also take names that begin with hf-hub: or local-dir:, and open those
        from difflib import get_close_matches

        close = get_close_matches(name, timm.list_models(), n=5)
        hint = f" Did you mean {', '.join(close)}?" if close else " `timm.list_models()` lists them."
        raise ModelError(f"encoder.name: timm has no network called {name!r}.{hint}")
    file = cached_weights(name) if pretrained else None
    overlay = None if file is None else {"file": str(file)}
    try:
        return timm.create_model(
            name, pretrained=pretrained, pretrained_cfg_overlay=overlay, num_classes=0, global_pool=""
        )
    except RuntimeError as error:  # such as another tag of weights than timm knows
        raise ModelError(f"encoder.name: timm cannot make {name!r} ({str(error).partition(chr(10))[0]}).") from error
    except (OSError, TypeError) as error:
        if not pretrained:
            raise
        raise ModelError(
            f"encoder {name}: its pretrained weights could not be fetched ({error}). Connect to the network, or name a "
            "local file in encoder.weights."
        ) from error


def default_transform(name: str, size: int | None = None, crop: Literal["squash", "center"] = "squash") -> Transform:
    """Mean, standard deviation, size and interpolation from timm's data configuration of a network.

    Args:
        name: timm's name of the network.
        size: another square image size, in pixels.
        crop: `squash` keeps the whole picture, which a caption is about; `center` is timm's evaluation crop.
    """
    from timm.data.config import resolve_data_config

    data: dict[str, Any] = resolve_data_config(model=_create(name, pretrained=False))
    height, width = (size, size) if size else data["input_size"][1:]
    crop_pct = float(data["crop_pct"]) if crop == "center" else 1.0
    interpolation: Any = data["interpolation"] if data["interpolation"] != "random" else "bilinear"
    return Transform((height, width), tuple(data["mean"]), tuple(data["std"]), interpolation, crop, crop_pct)


def load_encoder_weights(encoder: Encoder, path: Path) -> None:
    """Load ImageNet weights from a local safetensors file in timm's own key names; a classifier's weights are left out.

    Raises:
        ModelError: the file is missing or cut, or its tensors do not fit the network.
    """
    tensors = read_tensors(path)
    expected = encoder.cnn.state_dict()
    spare = [key for key in tensors if key not in expected and not key.startswith(("classifier.", "fc.", "head."))]
    missing = [key for key in expected if key not in tensors and not key.endswith("num_batches_tracked")]
    wrong = [key for key in expected if key in tensors and tensors[key].shape != expected[key].shape]
    for keys, what in ((missing, "lacks"), (wrong, "has another shape for"), (spare, "has the unknown")):
        if keys:
            raise ModelError(
                f"{path}: {what} {keys[0]} ({len(keys)} such tensors), so it does not belong to {encoder.name}; name "
                "the weights of that network."
            )
    encoder.cnn.load_state_dict({key: value for key, value in tensors.items() if key in expected}, strict=False)


class Engine:
    """Runs an encoder on batches of pixels as fast as the device allows.

    Args:
        encoder: the network; its weights are read now, so make a new engine after changing them.
        device: `cpu` or a CUDA device.
        precision: of the arithmetic.
        key: under which the network is kept as OpenVINO runs it, see `compiled.digest`.
    """

    def __init__(
        self,
        encoder: Encoder,
        device: str | torch.device = "cpu",
        precision: Precision = "float32",
        key: str | None = None,
    ) -> None:
        self.encoder = encoder.eval()
        self.device = torch.device(device)
        self.precision = precision
        self._compiled: compiled.Streams | None = None
        if self.device.type != "cpu":
            encoder.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        elif compiled.available():
            network = encoder.to("cpu", torch.float32)
            size, grid = encoder.transform.size, encoder.grid_shape()
            self._compiled = compiled.convert(network, size, grid, encoder.channels, key).compile(precision)

    def __call__(self, pixels: Pixels, *, parallel: bool = True) -> Features:
        """Features of uint8 RGB pixels (images, height, width, 3), float32 on the engine's device.

        Args:
            pixels: of the images.
            parallel: look at several images at once on a CPU; see `compiled.Streams`.
        """
        if self._compiled is not None:
            return Features.of(self._compiled(pixels, parallel=parallel))
        images = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)  # a mirror image is a view backwards
        bfloat16 = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            return Features.of(self.encoder(images).float())


def describe(transform: Transform) -> dict[str, Any]:
    """A transform as plain values for a configuration file or a cache key."""
    return asdict(transform)
