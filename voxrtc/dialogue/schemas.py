"""The JSON schemas that functions may be described with: a strict subset that models can be held to, token by token."""

from __future__ import annotations

import json
import math
from typing import Any

Schema = dict[str, Any]

DEEPEST = 6
"""Schemas inside each other."""
LONGEST = 1_000
"""Items or characters that a schema may speak of: to hold a model to a million of them takes seconds a token."""
LARGEST = 1e300
"""The largest bound of a number, either side of zero."""

_ANYWHERE = {"type", "title", "description", "default", "enum", "const", "anyOf"}
_OF_TYPE: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set(),
    "null": set(),
}
_PYTHON: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def closed(schema: object, where: str = "parameters", depth: int = 0) -> Schema:
    """``schema`` with every object in it closed to names that it does not list, unless it says otherwise.

    Raises ValueError, with a sentence, where it is no schema of the subset.
    """
    if not isinstance(schema, dict):
        raise ValueError(f"{where} must be a JSON schema, an object")
    if depth > DEEPEST:
        raise ValueError(f"{where} lies deeper than {DEEPEST} schemas inside each other")
    kind = schema.get("type")
    if kind is None and not {"enum", "const", "anyOf"} & schema.keys():
        raise ValueError(f"{where} needs a type, one of {', '.join(_OF_TYPE)}")
    if kind is not None and (not isinstance(kind, str) or kind not in _OF_TYPE):
        raise ValueError(f"{where} has the type {kind!r}; there are {', '.join(_OF_TYPE)}")
    allowed = _ANYWHERE | (_OF_TYPE[kind] if kind is not None else set())
    if unknown := sorted(map(str, schema.keys() - allowed)):
        raise ValueError(
            f"{where} uses {', '.join(unknown)}; a schema of this kind may use {', '.join(sorted(allowed))}"
        )
    _check_bounds(schema, where)
    _check_possible(schema, where)
    return schema | _closed_inside(schema, where, depth + 1)


def _closed_inside(schema: Schema, where: str, depth: int) -> Schema:
    """Those keywords of ``schema`` that hold schemas, closed."""
    inside: Schema = {}
    if "anyOf" in schema:
        options = schema["anyOf"]
        if not isinstance(options, list) or not options:
            raise ValueError(f"{where}.anyOf must be a list of schemas")
        inside["anyOf"] = [closed(option, f"{where}.anyOf[{n}]", depth) for n, option in enumerate(options)]
    if "items" in schema:
        inside["items"] = closed(schema["items"], f"{where}.items", depth)
    if schema.get("type") != "object":
        return inside
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise ValueError(f"{where}.properties must be an object")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
        raise ValueError(f"{where}.required must list names of its properties")
    inside["properties"] = {str(n): closed(inner, f"{where}.{n}", depth) for n, inner in properties.items()}
    inside["additionalProperties"] = schema.get("additionalProperties", False)
    return inside


def _check_bounds(schema: Schema, where: str) -> None:
    """Raise ValueError where a keyword has a value that it cannot have."""
    for key, value in schema.items():
        whole = key in ("minItems", "maxItems", "minLength", "maxLength")
        if whole and (type(value) is not int or not 0 <= value <= LONGEST):
            raise ValueError(f"{where}.{key} must be a whole number up to {LONGEST}")
        if "imum" in key and (type(value) not in (int, float) or not -LARGEST <= value <= LARGEST):
            raise ValueError(f"{where}.{key} must be a number, no larger than {LARGEST:g}")
        if key == "enum" and (not isinstance(value, list) or not value):
            raise ValueError(f"{where}.enum must be a list of values")
        if key == "additionalProperties" and not isinstance(value, bool):
            raise ValueError(f"{where}.additionalProperties must be true or false")


def _check_possible(schema: Schema, where: str) -> None:
    """Raise ValueError where no value can fit: a model cannot be held to that."""
    kind = schema.get("type")
    values = [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]
    if misfits := [value for value in values if kind is not None and not _is(value, kind)]:
        raise ValueError(f"{where} is of the type {kind}, which {json.dumps(misfits[0])} is not")
    for of in ("Items", "Length"):
        if schema.get(f"min{of}", 0) > schema.get(f"max{of}", LONGEST):
            raise ValueError(f"{where}: min{of} is more than max{of}")
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    if kind == "integer":  # between 1.2 and 1.8 there is none; nor, both excluded, between 1 and 2
        low = max(low if low == -math.inf else math.ceil(low), above if above == -math.inf else math.floor(above) + 1)
        high = min(high if high == math.inf else math.floor(high), below if below == math.inf else math.ceil(below) - 1)
    if low > high or above >= min(high, below) or low >= below:
        raise ValueError(f"{where}: the minimum is more than the maximum, so that nothing fits")


def _is(value: Any, kind: str) -> bool:
    """Whether ``value`` is of the JSON type ``kind``."""
    return isinstance(value, _PYTHON[kind]) and (kind == "boolean" or not isinstance(value, bool))


def mismatch(value: Any, schema: Schema, where: str = "arguments") -> str | None:
    """What is wrong with ``value`` by a ``closed`` schema, as a sentence; None if nothing is."""
    if "const" in schema and value != schema["const"]:
        return f"{where} must be {json.dumps(schema['const'])}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} must be one of {json.dumps(schema['enum'])}"
    if "anyOf" in schema and all(mismatch(value, option, where) for option in schema["anyOf"]):
        return f"{where} is nothing of what it may be"
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        return f"{where} must be of the type {kind}"
    if isinstance(value, dict):
        return _object_mismatch(value, schema, where)
    if isinstance(value, list):
        wrong = (mismatch(v, schema["items"], f"{where}[{n}]") for n, v in enumerate(value) if "items" in schema)
        return _bounds_mismatch(len(value), schema, "Items", where) or next(filter(None, wrong), None)
    if isinstance(value, str):
        return _bounds_mismatch(len(value), schema, "Length", where)
    return _bounds_mismatch(value, schema, "imum", where) if isinstance(value, int | float) else None


def _object_mismatch(value: dict[str, Any], schema: Schema, where: str) -> str | None:
    properties: dict[str, Schema] = schema.get("properties", {})
    if missing := [name for name in schema.get("required", []) if name not in value]:
        return f"{where}.{missing[0]} is missing"
    extra = sorted(value.keys() - properties.keys())
    if extra and schema.get("additionalProperties") is False:
        return f"{where}.{extra[0]} is not known"
    wrong = (mismatch(value[name], inner, f"{where}.{name}") for name, inner in properties.items() if name in value)
    return next(filter(None, wrong), None)


def _bounds_mismatch(value: float, schema: Schema, of: str, where: str) -> str | None:
    """``of``: how the keywords end that bound it."""
    low, high = schema.get(f"min{of}"), schema.get(f"max{of}")
    if low is not None and value < low:
        return f"{where} is less than {low}"
    if high is not None and value > high:
        return f"{where} is more than {high}"
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if of == "imum" and ((above is not None and value <= above) or (below is not None and value >= below)):
        return f"{where} is out of its range"
    return None
