"""Which JSON schemas are taken, and what they hold to."""

from __future__ import annotations

from typing import Any

import pytest

from voxrtc.dialogue.schemas import closed, mismatch

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 20},
        "days": {"type": "integer", "minimum": 1, "exclusiveMaximum": 8},
        "units": {"anyOf": [{"enum": ["c", "f"]}, {"type": "null"}]},
        "hours": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
        "more": {"type": "object", "properties": {"snow": {"type": "boolean"}}},
    },
    "required": ["city"],
}


def test_objects_are_closed_to_what_they_do_not_name() -> None:
    schema = closed(CITY)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["more"]["additionalProperties"] is False
    assert "additionalProperties" not in CITY


@pytest.mark.parametrize(
    "value",
    [
        {"city": "Rome"},
        {"city": "Rome", "days": 7, "units": None, "hours": [1, 2.5], "more": {"snow": True}},
        {"city": "Rome", "units": "c", "more": {}},
    ],
)
def test_what_fits(value: Any) -> None:
    assert mismatch(value, closed(CITY)) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Rome", "arguments must be of the type object"),
        ({}, "arguments.city is missing"),
        ({"city": 3}, "arguments.city must be of the type string"),
        ({"city": ""}, "arguments.city is less than 1"),
        ({"city": "x" * 21}, "arguments.city is more than 20"),
        ({"city": "Rome", "days": 0}, "arguments.days is less than 1"),
        ({"city": "Rome", "days": 8}, "arguments.days is out of its range"),
        ({"city": "Rome", "days": True}, "arguments.days must be of the type integer"),
        ({"city": "Rome", "days": 1.5}, "arguments.days must be of the type integer"),
        ({"city": "Rome", "units": "k"}, "arguments.units is nothing of what it may be"),
        ({"city": "Rome", "hours": [1, "2"]}, r"arguments.hours[1] must be of the type number"),
        ({"city": "Rome", "hours": [1, 2, 3]}, "arguments.hours is more than 2"),
        ({"city": "Rome", "more": {"rain": True}}, "arguments.more.rain is not known"),
        ({"city": "Rome", "town": "x"}, "arguments.town is not known"),
    ],
)
def test_what_does_not_fit(value: Any, said: str) -> None:
    assert mismatch(value, closed(CITY)) == said


def test_constants() -> None:
    assert mismatch(2, closed({"const": 1})) == "arguments must be 1"
    assert mismatch("b", closed({"enum": ["a", 1]})) == 'arguments must be one of ["a", 1]'


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ([], "must be a JSON schema"),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "required": [["a"]]}, "required must list names"),
        ({"type": "object", "required": [1]}, "required must list names"),
        ({"type": "number", "minimum": 10**400}, "no larger than"),
        ({"type": "number", "maximum": float("nan")}, "maximum must be a number"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "nothing fits"),
        ({"type": "number", "minimum": 1, "exclusiveMaximum": 1}, "nothing fits"),
        ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "nothing fits"),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1}, "nothing fits"),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "nothing fits"),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "nothing fits"),
        ({"type": "string", "minLength": 2, "maxLength": 1}, "minLength is more than maxLength"),
        ({"type": "array", "minItems": 2, "maxItems": 1}, "minItems is more than maxItems"),
        ({"type": "string", "enum": ["a", 1]}, "of the type string, which 1 is not"),
        ({"type": "integer", "const": True}, "of the type integer, which true is not"),
        ({}, "needs a type"),
        ({"type": "strang"}, "'strang'"),
        ({"type": ["string", "null"]}, "there are object, array"),
        ({"type": "string", "pattern": "(a+)+"}, "uses pattern"),
        ({"$ref": "#/$defs/x"}, "needs a type"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/x", "type": "string"}}}, r"parameters\.a uses \$ref"),
        ({"type": "object", "properties": 3}, "properties must be an object"),
        ({"type": "object", "required": ["a"]}, "required must list names"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "must be true or false"),
        ({"type": "array", "maxItems": 10**6}, "whole number up to 1000"),
        ({"type": "array", "items": 3}, r"parameters\.items must be a JSON schema"),
        ({"type": "number", "minimum": "1"}, "minimum must be a number"),
        ({"type": "number", "minimum": float("inf")}, "minimum must be a number"),
        ({"enum": []}, "enum must be a list"),
        ({"anyOf": []}, "anyOf must be a list"),
    ],
)
def test_what_is_no_schema_of_ours_is_refused_in_a_sentence(schema: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        closed(schema)


def test_schemas_are_not_nested_without_end() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(50):
        schema = {"type": "array", "items": schema}
    with pytest.raises(ValueError, match="deeper than"):
        closed(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "minimum": 1, "maximum": 1},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3},
        {"type": "integer", "exclusiveMinimum": 1.5, "maximum": 2},
        {"type": "string", "minLength": 1, "maxLength": 1},
        {"type": "number", "enum": [1, 2.5]},
    ],
)
def test_bounds_that_one_value_fits(schema: dict[str, Any]) -> None:
    assert closed(schema) == schema
