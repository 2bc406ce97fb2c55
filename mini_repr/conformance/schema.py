"""JSON Schemas: of a file of golden vectors, which ``mini-repr vectors export`` writes beside them, and of the reports
of ``mini-repr check --json``, which ``mini-repr check --schema`` prints.
"""

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

_CODE = {"enum": [0, 1, 3, 4]}
_FINITE = {"type": ["number", "null"]}
_VALUES = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}
_ERRORS = {"type": ["object", "null"], "required": ["value"], "additionalProperties": _FINITE}
_CHANGED_LINE = {
    "type": "object",
    "required": ["definition", "yours"],
    "properties": {"definition": _TEXT, "yours": _TEXT},
    "additionalProperties": False,
}
_EXPLANATION = {
    "type": ["object", "null"],
    "required": ["text", "settings", "slips", "diff"],
    "properties": {
        "text": _TEXT,
        "settings": _VALUES,
        "slips": {"type": "array", "items": _TEXT},
        "diff": {"type": "array", "items": _CHANGED_LINE},
    },
    "additionalProperties": False,
}
_JUDGED = {
    "type": "object",
    "required": ["case", "flags", "verdict", "note", "errors", "allowed"],
    "properties": {
        "case": _TEXT,
        "flags": {"type": "array", "items": _TEXT},
        "verdict": {
            "enum": [
                *("ok", "imprecise", "undefined", "differs", "value not finite"),
                *("gradient not finite", "raised"),
            ]
        },
        "note": _TEXT,
        "errors": _ERRORS,
        "allowed": _ERRORS,
    },
    "additionalProperties": False,
}
_REPORT = {
    "type": "object",
    "required": [
        *("target", "framework", "loss", "settings", "verdict"),
        *("exit_code", "explanation", "notes", "cases"),
    ],
    "properties": {
        "target": _TEXT,
        "framework": {"enum": ["torch", "jax", "numpy", "file"]},
        "loss": _TEXT,
        "settings": _VALUES,
        "verdict": _TEXT,
        "exit_code": _CODE,
        "explanation": _EXPLANATION,
        "notes": {"type": "array", "items": _TEXT},
        "cases": {"type": "array", "items": _JUDGED},
    },
    "additionalProperties": False,
}
_RANKS_REPORT = {
    "type": "object",
    "required": ["target", "loss", "ranks", "where", "verdict", "exit_code", "value_error", "gradients"],
    "properties": {
        "target": _TEXT,
        "loss": _TEXT,
        "ranks": {"type": "integer"},
        "where": _TEXT,
        "verdict": _TEXT,
        "exit_code": _CODE,
        "value_error": _FINITE,
        "gradients": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["factor", "left_over"],
                "properties": {"factor": _FINITE, "left_over": _FINITE},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
_NOT_RUN = {
    "type": "object",
    "required": ["target", "loss", "error", "exit_code"],
    "properties": {"target": _TEXT, "loss": _TEXT, "error": _TEXT, "exit_code": {"enum": [2]}},
    "additionalProperties": False,
}

REPORTS = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Report of mini-repr check: of one target, of one target on ranks, or of all checks that a project states",
    "anyOf": [_REPORT, _RANKS_REPORT, {"type": "array", "items": {"anyOf": [_REPORT, _NOT_RUN]}}],
}
