"""YAML for configurations: the plain values of version 1.2, which mean what they look like, and no key twice.

PyYAML alone reads those of version 1.1, where 010 is 8, 1:30 is 90, 2001-01-01 a date, no is false and 1e-3 a text, and
of two equal keys it takes the last one without a word.
"""

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


_PLAIN = {
    "merge": ("<", "<<"),
    "null": ("~nN", "~|null|Null|NULL|"),
    "bool": ("tTfF", "true|True|TRUE|false|False|FALSE"),
    "int": ("-+0123456789", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": (
        "-+.0123456789",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
}
"""Kinds of plain values: how they may begin, and how they look as a whole."""

_Loader.yaml_implicit_resolvers = {}  # none of version 1.1
for _kind, (_first, _whole) in _PLAIN.items():
    _begins = [*_first, ""] if _kind == "null" else list(_first)
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_whole})$"), _begins)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)


def parse_yaml(text: str) -> Any:
    """The one document in a text.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: it is no YAML, or gives a key twice.
    """
    return yaml.load(text, _Loader)
