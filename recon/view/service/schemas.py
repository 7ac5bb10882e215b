"""JSON schemas (2020-12, as OpenAPI 3.1 has them) of Python types and of options."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from recon.options import Option

Schema = dict[str, Any]
GROUP = "x-group"
"""Of an option: what those have in common that stand together."""
_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def schema_of(kind: Any, bounds: Schema | None = None) -> Schema:
    """Of a type; `bounds` of the numbers in it. A TypedDict is referred to by its name, see `definitions_of`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if kind is types.NoneType:
        return {"type": "null"}
    if is_typeddict(kind):
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one, bounds) for one in arguments]}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if origin is list or (origin is tuple and Ellipsis in arguments):
        return {"type": "array", "items": schema_of(arguments[0], bounds)}
    if origin is tuple:
        size = len(arguments)
        return {"type": "array", "items": schema_of(arguments[0], bounds), "minItems": size, "maxItems": size}
    return {"type": _PLAIN[kind], **(bounds or {} if kind in (int, float) else {})}


def definitions_of(*kinds: Any) -> dict[str, Schema]:
    """Schemas of TypedDicts, and of all that they hold, by name."""
    found: dict[str, Schema] = {}
    for kind in kinds:
        hints = get_type_hints(kind)
        found[kind.__name__] = {
            "type": "object",
            "description": (kind.__doc__ or "").strip(),
            "properties": {name: schema_of(of_name) for name, of_name in hints.items()},
            "required": sorted(kind.__required_keys__),
        }
        for of_name in hints.values():
            for inner in (of_name, *get_args(of_name)):
                if is_typeddict(inner) and inner.__name__ not in found:
                    found |= definitions_of(inner)
    return found


def option_schema(one: Option) -> Schema:
    """Of an option, with its help, its default and the group that it is in."""
    named = {
        "minimum": 0 if one.or_zero else one.least,
        "maximum": one.most,
        "exclusiveMinimum": one.above,
        "exclusiveMaximum": one.below,
    }
    bounds = {name: bound for name, bound in named.items() if bound is not None}
    described: Schema = {**schema_of(one.type, bounds), "description": one.help}
    if not one.required:
        described["default"] = list(one.default) if isinstance(one.default, tuple) else one.default
    group = (getattr(one.declared_in, "__doc__", None) or "").splitlines()
    return {**described, GROUP: group[0].rstrip(".") if group else ""}
