"""Weights of timm's CNNs from the model hub: from its cache where they are there, and without long waits where not.

A hub that cannot be reached is asked again and again by its client, for most of a minute; here it is asked once.
"""

from pathlib import Path

from captioner.errors import ModelError

SECONDS = 5.0  # to reach the hub
_FILES = ("model.safetensors", "pytorch_model.bin")


def cached_weights(name: str) -> Path | None:
    """The weights of one of timm's CNNs in the hub's cache; None if they are to be fetched.

    Args:
        name: timm's.

    Raises:
        ModelError: they are not in the cache, and the hub cannot be reached or must not be (`HF_HUB_OFFLINE`).
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return None
    repository = config.hf_hub_id
    for file in filter(None, (config.hf_hub_filename, *_FILES)):
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
    if constants.HF_HUB_OFFLINE:
        raise _absent(name, "HF_HUB_OFFLINE is set, and they are not in the hub's cache")
    reason = _unreachable(constants.ENDPOINT)
    if reason is not None:
        raise _absent(name, f"{constants.ENDPOINT} cannot be reached: {reason}")
    return None


def _absent(name: str, reason: str) -> ModelError:
    return ModelError(
        f"encoder {name}: its pretrained weights could not be fetched ({reason}). Connect to the network, name a local "
        "file in encoder.weights, or go on from a model in the package with init: photos."
    )


def _unreachable(address: str) -> str | None:
    """Why the hub does not answer; None if it does, whatever it says."""
    from huggingface_hub import get_session

    try:
        get_session().head(address, timeout=SECONDS)
    except Exception as error:  # the clients of its versions have errors of their own
        return str(error) or type(error).__name__
    return None
