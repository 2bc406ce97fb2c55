"""Pairs of texts: tab-separated (.tsv) or one JSON object a line (.jsonl); UTF-8, plain or gzip.

Which columns, in both formats: those of the options ``columns`` and ``label``; else the label is a column named label,
category or class, a hard negative one named negative, and the pair is the first two others. Further columns, such as a
similarity, are used by no loss: where a line has something in them, ``columns`` must name the pair.

TSV has no quoting. Its first line is a header if either option is given or if all its fields are common names of
columns (``HEADER_NAMES``). Without a header there are two columns, or three with the label last.
"""

import json
import re
from pathlib import Path

import numpy as np

from mini_repr.data.dataset import DataError, PairSet
from mini_repr.data.dataset import split as split_rows
from mini_repr.data.readers.files import open_bytes

_DECIMAL = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)
LABEL_NAMES = ("label", "category", "class")
NEGATIVE_NAME = "negative"
_PAIR_NAMES = (
    "a b text_a text_b text1 text2 sentence1 sentence2 query document passage question answer anchor positive "
    "source target premise hypothesis title body word definition example"
)
HEADER_NAMES = frozenset((*_PAIR_NAMES.split(), *LABEL_NAMES, NEGATIVE_NAME))


def read_pairs(path, columns=None, label=None, split="classes"):
    """The Dataset of PairSet in a text file; every fifth line is test.

    Args:
        columns: names of the two text columns (keys), and of a third one of hard negatives where they are wanted.
        label: name of the label column (key). Classes are its distinct values in sorted order.
        split: see ``dataset.split``.
    Raises:
        DataError: with the line's number: not UTF-8, another number of fields, bad JSON, a missing key, an empty text.
    """
    names = columns.split(",") if isinstance(columns, str) else columns  # as it is typed: a,b
    if names is not None and len(names) not in (2, 3):
        wanted = "two names, such as --set data.columns=a,b, or three with the hard negative last"
        raise DataError(f"{path}: option columns is {columns!r}, expected {wanted}")
    columns = names
    lines = _lines(path)
    is_json = any(suffix.lower() in (".jsonl", ".ndjson") for suffix in Path(path).suffixes[-2:])
    records = _json_records(path, lines) if is_json else _table_records(path, lines, columns, label)
    if not records:
        raise DataError(f"{path}: no line with a pair, expected at least one")
    *keys, label = _columns(path, records, columns, label)
    texts = [[_text(path, number, record, key) for number, record in records] for key in keys]
    a, b, negatives = texts if len(texts) == 3 else (*texts, None)
    if label is None:
        return split_rows(PairSet(str(path), a, b, negatives=negatives), split)
    classes = [_class(path, number, record, label) for number, record in records]
    label_names = tuple(sorted(set(classes)))
    index = {name: i for i, name in enumerate(label_names)}
    labels = np.array([index[name] for name in classes], dtype=np.int64)
    return split_rows(PairSet(str(path), a, b, labels, label_names, negatives), split)


def _lines(path):
    """[(line number, text)] from 1; lines are decoded one by one so that a bad one can be named."""
    with open_bytes(path) as stream:
        raw = stream.read().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if raw[-1] == b"":
        raw.pop()
    lines = []
    for number, line in enumerate(raw, 1):
        try:
            lines.append((number, line.removesuffix(b"\r").decode("utf-8")))
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: line {number}: byte {error.start + 1} is not UTF-8, expected UTF-8") from error
    return lines


def _table_records(path, lines, columns, label):
    rows = [(number, line.split("\t")) for number, line in lines]
    if not rows:
        return []
    header = rows[0][1]
    if columns or label or all(field.strip().lower() in HEADER_NAMES for field in header):
        if len(set(header)) < len(header):
            raise DataError(f"{path}: line 1: header {', '.join(header)}, expected distinct names")
        rows = rows[1:]
    elif len(header) in (2, 3):
        header = ["a", "b", "label"][: len(header)]
    else:
        raise DataError(f"{path}: line 1: {len(header)} fields, expected 2 or 3, or a header and the option columns")
    for number, fields in rows:
        if len(fields) != len(header):
            raise DataError(f"{path}: line {number}: {len(fields)} fields, expected {len(header)}")
    return [(number, dict(zip(header, fields, strict=True))) for number, fields in rows]


def _json_records(path, lines):
    records = []
    for number, line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number}: not JSON ({error}), expected one object a line") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}: line {number}: a JSON {type(record).__name__}, expected an object")
        records.append((number, record))
    return records


def _columns(path, records, columns, label):
    """Names of the two texts, of the hard negative where there is one, and of the label or None."""
    record = records[0][1]
    if label is None:
        label = next((key for key in record if key.strip().lower() in LABEL_NAMES and key not in (columns or ())), None)
    if columns is not None:
        return *columns, label
    negative = [key for key in record if key.strip().lower() == NEGATIVE_NAME and key != label]
    first_two = [key for key in record if key not in (label, *negative)][:2]
    if len(first_two) != 2:
        raise DataError(f"{path}: columns {', '.join(record) or 'none'}, expected two texts")
    known = (*first_two, *negative, label)
    for number, later in records:
        unused = [key for key in later if key not in known and later[key] not in (None, "")]
        if unused:
            raise DataError(
                f"{path}: line {number}: {unused[0]} would not be used (no similarity or second negative is), expected "
                f"two texts, a hard negative and a label; name the pair to leave it out: --set "
                f"data.columns={','.join(first_two)}"
            )
    return *first_two, *negative, label


def _field(path, number, record, key):
    if key not in record:
        raise DataError(f"{path}: line {number}: columns {', '.join(record) or 'none'}, expected {key}")
    return record[key]


def _text(path, number, record, key):
    text = _field(path, number, record, key)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{path}: line {number}: {key} is {text!r:.40}, expected a text")
    return text


def _class(path, number, record, key):
    value = _field(path, number, record, key)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise DataError(f"{path}: line {number}: {key} is {value!r:.40}, expected a class name or an integer")
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        raise DataError(
            f"{path}: line {number}: {key} is {value}, expected a class; similarities are not used: with a header "
            "line, --set data.columns=a,b leaves them out"
        )
    return str(value)
