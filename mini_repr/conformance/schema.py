"""What a file of golden vectors looks like, as a JSON Schema, which ``mini-repr vectors export`` writes beside them."""

_NUMBER = {"type": "string", "pattern": "^(-?0x[01](\\.[0-9a-f]+)?p[+-][0-9]+)$"}
_ARRAY = {
    "type": "object",
    "required": ["shape", "dtype", "data"],
    "properties": {
        "shape": {"type": "array", "items": {"type": "integer"}},
        "dtype": {"enum": ["float64", "int64", "bool"]},
        "data": {"type": "string"},
    },
    "additionalProperties": False,
}
_TEXT = {"type": "string"}
_NUMBER_OR_ARRAY = {"anyOf": [_NUMBER, _ARRAY]}
_SETTINGS = {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean", "null"]}}
_TOLERANCE = {"type": "object", "required": ["value"], "additionalProperties": _NUMBER}
_SLIP = {
    "type": "object",
    "required": ["slip", "says", "value"],
    "properties": {"slip": _TEXT, "says": _TEXT, "value": _NUMBER},
    "additionalProperties": False,
}
_CASE = {
    "type": "object",
    "required": ["id", "comment", "flags", "result", "inputs", "params"],
    "properties": {
        "id": _TEXT,
        "comment": _TEXT,
        "flags": {"type": "array", "items": _TEXT},
        "result": {"enum": ["valid", "undefined", "error"]},
        "inputs": {"type": "object", "additionalProperties": _ARRAY},
        "params": _SETTINGS,
        "error": _TEXT,
        "value": _NUMBER,
        "terms": {"type": "object", "additionalProperties": _NUMBER},
        "zero_gradients": {"type": "array", "items": _TEXT},
        "gradients": {"type": "object", "additionalProperties": _NUMBER_OR_ARRAY},
        "tolerance": {
            "type": "object",
            "required": ["float64", "float32"],
            "properties": {"float64": _TOLERANCE, "float32": _TOLERANCE},
            "additionalProperties": False,
        },
        "matches_if_buggy": {"type": "array", "items": _SLIP},
    },
    "additionalProperties": False,
}

_RANKS = {
    "type": "object",
    "required": ["comment", "inputs", "value", "gradients", "worlds"],
    "properties": {
        "comment": _TEXT,
        "inputs": {"type": "object", "additionalProperties": _ARRAY},
        "value": _NUMBER,
        "gradients": {"type": "object", "additionalProperties": _NUMBER_OR_ARRAY},
        "worlds": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ranks", "schemes"],
                "properties": {
                    "ranks": {"type": "integer"},
                    "schemes": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["scheme", "says"],
                            "properties": {"scheme": _TEXT, "says": _TEXT, "factor": _NUMBER},
                            "additionalProperties": False,
                        },
                    },
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Golden vectors of one loss and variant",
    "type": "object",
    "required": [
        *("schema", "generator", "loss", "variant", "says", "paper", "source"),
        *("params", "tolerance_rule", "flags", "cases"),
    ],
    "properties": {
        "schema": {"enum": ["mini_repr vectors 1"]},
        "generator": {
            "type": "object",
            "required": ["mini_repr", "mpmath", "digits"],
            "properties": {"mini_repr": _TEXT, "mpmath": _TEXT, "digits": {"type": "integer"}},
            "additionalProperties": False,
        },
        "loss": _TEXT,
        "variant": _TEXT,
        "says": _TEXT,
        "paper": {"type": "object", "required": ["key", "title", "cite"], "additionalProperties": _TEXT},
        "source": _TEXT,
        "params": _SETTINGS,
        "tolerance_rule": _TEXT,
        "flags": {"type": "object", "additionalProperties": _TEXT},
        "cases": {"type": "array", "items": _CASE},
        "ranks": _RANKS,
    },
    "additionalProperties": False,
}
