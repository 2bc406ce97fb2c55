"""Texts from files, UTF-8, plain or gzip: pairs of them, or one a line (.txt).

Pairs are tab-separated (.tsv), comma-separated with quotes (.csv) or one JSON object a line (.jsonl). Which columns, in
all three: those of the options ``columns``, ``label`` and ``similarity``; else the label is a column named label,
category or class, the similarity one named similarity, score or the like (``SIMILARITY_NAMES``), a hard negative one
named negative, and the pair is the first two others. Further columns are used by no loss: where a line has something in
them, ``columns`` must name the pair.

TSV has no quoting. The first line of a table is a header if one of the options is given or if all its fields are common
names of columns (``HEADER_NAMES``). Without a header there are two columns, or three with the label last.
"""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np

from mini_repr.data.dataset import DataError, PairSet, TextSet
from mini_repr.data.dataset import split as split_rows
from mini_repr.data.readers.files import open_bytes

_DECIMAL = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)
LABEL_NAMES = ("label", "category", "class")
NEGATIVE_NAME = "negative"
SIMILARITY_NAMES = ("similarity", "similarity_score", "score", "relatedness", "relatedness_score")
_PAIR_NAMES = (
    "a b text_a text_b text1 text2 sentence1 sentence2 query document passage question answer anchor positive "
    "source target premise hypothesis title body word definition example"
)
HEADER_NAMES = frozenset((*_PAIR_NAMES.split(), *LABEL_NAMES, *SIMILARITY_NAMES, NEGATIVE_NAME))


def read_texts(path):
    """The Dataset of TextSet in a file of one text a line; every fifth line is test, lines without a word are none.

    Raises:
        DataError: not UTF-8 (with the line's number), or no two texts.
    """
    texts = [line.strip() for _, line in lines_of(path) if line.strip()]
    if not texts:
        raise DataError(f"{path}: no line with a text, expected at least two")
    return split_rows(TextSet(str(path), texts))


def read_pairs(path, columns=None, label=None, similarity=None, split="classes"):
    """The Dataset of PairSet in a text file; every fifth line is test.

    Args:
        columns: names of the two text columns (keys), and of a third one of hard negatives where they are wanted.
        label: name of the label column (key). Classes are its distinct values in sorted order.
        similarity: name of the column (key) of how alike the two texts are, a number, or empty for a pair that has no
            grade and belongs together. A column that ``columns`` leaves out is read only where it is named here.
        split: see ``dataset.split``.
    Raises:
        DataError: with the line's number: not UTF-8, another number of fields, bad JSON, a missing key, an empty text,
            a similarity that is no number.
    """
    names = columns.split(",") if isinstance(columns, str) else columns  # as it is typed: a,b
    if names is not None and len(names) not in (2, 3):
        wanted = "two names, such as --set data.columns=a,b, or three with the hard negative last"
        raise DataError(f"{path}: option columns is {columns!r}, expected {wanted}")
    lines = lines_of(path)
    suffixes = {suffix.lower() for suffix in Path(path).suffixes[-2:]}
    if suffixes & {".jsonl", ".ndjson"}:
        records = _json_records(path, lines)
    else:
        rows = comma_separated(path, lines) if ".csv" in suffixes else [(n, line.split("\t")) for n, line in lines]
        records = table_records(path, rows, has_header=bool(names or label or similarity))
    if not records:
        raise DataError(f"{path}: no line with a pair, expected at least one")
    keys, label, similarity = _columns(path, records, names, label, similarity)
    a, b, *negatives = [[_text(path, number, record, key) for number, record in records] for key in keys]
    labels, label_names, likeness = None, (), None
    if label is not None:
        classes = [_class(path, number, record, label) for number, record in records]
        label_names = tuple(sorted(set(classes)))
        index = {name: i for i, name in enumerate(label_names)}
        labels = np.array([index[name] for name in classes], dtype=np.int64)
    if similarity is not None:
        likeness = np.array([_number(path, *record, similarity) for record in records], dtype=np.float32)
    return split_rows(
        PairSet(str(path), a, b, labels, label_names, negatives[0] if negatives else None, likeness), split
    )


def lines_of(path):
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


def comma_separated(path, lines):
    """[(line number, fields)]; a quoted field may hold commas and line breaks, its line is the one it ends on."""
    reader = csv.reader((line + "\n" for _, line in lines), strict=True)
    try:
        return [(reader.line_num, fields) for fields in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}, expected comma-separated fields") from error


def table_records(path, rows, has_header):
    """[(line number, {column: field})] of the rows below a header, which names the columns where there is one."""
    if not rows:
        return []
    header = rows[0][1]
    if has_header or all(field.strip().lower() in HEADER_NAMES for field in header):
        if len(set(header)) < len(header):
            raise DataError(f"{path}: line 1: header {', '.join(header)}, expected distinct names")
        rows = rows[1:]
    elif len(header) in (2, 3):
        header = ["a", "b", "label"][: len(header)]
    else:
        raise DataError(
            f"{path}: line 1: {len(header)} fields, expected 2 or 3, or a header and the option columns (--set "
            "data.columns=A,B); of a table with yes or no its fields (--set data.categories=A --set data.numbers=B)"
        )
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


def _columns(path, records, columns, label, similarity):
    """(names of the two texts and of the hard negative where there is one, of the label or None, of the similarity)."""
    record = records[0][1]
    if label is None:
        label = next((key for key in record if key.strip().lower() in LABEL_NAMES and key not in (columns or ())), None)
    if columns is not None:
        return columns, label, similarity
    if similarity is None:
        similarity = next((key for key in record if key.strip().lower() in SIMILARITY_NAMES and key != label), None)
    negative = [key for key in record if key.strip().lower() == NEGATIVE_NAME and key not in (label, similarity)]
    first_two = [key for key in record if key not in (label, similarity, *negative)][:2]
    if len(first_two) != 2:
        raise DataError(f"{path}: columns {', '.join(record) or 'none'}, expected two texts")
    known = (*first_two, *negative, label, similarity)
    for number, later in records:
        unused = [key for key in later if key not in known and later[key] not in (None, "")]
        if unused:
            raise DataError(
                f"{path}: line {number}: {unused[0]} would not be used (no second negative is), expected two texts, a "
                f"hard negative, a label and a similarity; name the pair to leave it out: --set "
                f"data.columns={','.join(first_two)}"
            )
    return (*first_two, *negative), label, similarity


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
            f"{path}: line {number}: {key} is {value}, expected a class; if it is a similarity, call its column "
            "similarity in a header line, or name it there: --set data.similarity=NAME"
        )
    return str(value)


def _number(path, number, record, key):
    value = _field(path, number, record, key)
    if value is None or value == "":
        return math.nan
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{path}: line {number}: {key} is {value!r:.40}, expected a number, how alike the texts are")
    return found
