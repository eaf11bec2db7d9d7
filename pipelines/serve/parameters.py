"""What a client can choose, made from the options of the command line, with limits of its own."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from captioner.pipelines.serve.problems import Problem

MODEL = (str | None, Field(None, description="Name of a model that the server has; by default its first."))
"""An option that all jobs have."""
EVERY = (0.1, 3600.0)
LIMITS: Mapping[str, tuple[float, float]] = {
    **{"beam_size": (1, 20), "num_captions": (1, 20), "max_length": (1, 100), "frames": (1, 64), "every": EVERY}
}
"""Least and most of what decides about a search's work."""
_TEXT = 1000  # characters of an option


def parameters(
    name: str,
    options: type,
    chosen: Sequence[str],
    limits: Mapping[str, tuple[float, float]],
    **more: Any,
) -> type[BaseModel]:
    """A schema of some of a command's options.

    Args:
        name: of the schema.
        options: the command's dataclass.
        chosen: names of the options that a client has.
        limits: least and most, where a server's differ from a command's.
        more: (type, default) of what only a client has.
    """
    hints = get_type_hints(options, include_extras=True)
    found: dict[str, Any] = {}
    for each in chosen:
        kind, option = get_args(hints[each])[:2]
        least, most = limits.get(each, (option.min, option.max))
        help_text = option.help.partition("  [default")[0]
        longest = _TEXT if str in (kind, *get_args(kind)) else None
        limited = (
            Annotated[kind, Field(ge=least, le=most, description=help_text, allow_inf_nan=False)]
            if (each in limits)
            else Annotated[kind, Field(description=help_text, max_length=longest)]
        )
        if {int, float} & {kind, *get_args(kind)}:
            limited = Annotated[limited, BeforeValidator(_no_truth)]
        found[each] = (limited, getattr(options, each, None))
    config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    return create_model(name, __config__=config, **found, **more)


def given(options: BaseModel, *names: str) -> dict[str, Any]:
    """Those of some options that a request gives a value."""
    values = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be a number, not true or false")
    return value


def parsed(schema: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """Values of a request, checked.

    Raises:
        Problem: one is unknown or wrong.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "the request"
        if first["type"] == "extra_forbidden":
            detail = f"{key}: no such option; there are {', '.join(schema.model_fields)}."
        else:
            message = first["msg"].removeprefix("Value error, ")
            detail = f"{key}: {message[:1].lower()}{message[1:]}."
        raise Problem(422, detail) from None
