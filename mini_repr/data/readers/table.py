"""Tables with a yes or a no in each row, from .csv or .tsv files with a header line: ``--set data.numbers=age,price``.

Which columns are fields is declared: ``categories`` and ``numbers``. The values of a category come from the training
part alone; in the test part any other one counts as "(other)". An empty category is a value like any other; an empty
number is none: say with what to fill it before, or call the column a category.
"""

import math
from pathlib import Path

import numpy as np

from mini_repr.data.dataset import DataError, Dataset, Field, TableSet
from mini_repr.data.dataset import split as split_rows
from mini_repr.data.readers.text import comma_separated, lines_of, table_records

LABEL_NAMES = ("label", "click", "clicked")
OTHER = "(other)"


def read_table(path, categories=(), numbers=(), label=None, crosses=(), least=1, split="rows"):
    """The Dataset of TableSet in a file; every fifth line is test.

    Args:
        categories, numbers: names of the columns of either kind, as lists or as typed: ``site,device``.
        label: name of the column of yes and no, of two different entries, of which the later in order ("1", "yes",
            "True") is yes. By default a column named label, click or clicked.
        crosses: pairs of categories that make a further one of the two together, as typed: ``site*device``.
        least: a value of fewer training rows counts as "(other)".
        split: see ``dataset.split``.
    Raises:
        DataError: with the line's number: not UTF-8, another number of fields, what is no number; a column that is not
            there or is declared twice, a label of one or of more than two entries.
    """
    if not isinstance(least, int) or least < 1:
        raise DataError(f"{path}: option least is {least!r}, expected a whole number from 1: --set data.least=2")
    categories, numbers = _names(categories), _names(numbers)
    lines = lines_of(path)
    suffixes = {suffix.lower() for suffix in Path(path).suffixes[-2:]}
    rows = comma_separated(path, lines) if ".csv" in suffixes else [(n, line.split("\t")) for n, line in lines]
    records = table_records(path, rows, has_header=True)
    if not records:
        raise DataError(f"{path}: no line below the header, expected at least two")
    columns = list(records[0][1])
    if label is None:
        label = next((name for name in columns if name.strip().lower() in LABEL_NAMES), None)
        if label is None:
            raise DataError(f"{path}: columns {', '.join(columns)}, expected one of yes and no: --set data.label=NAME")
    declared = [*categories, *numbers, label]
    for name in declared:
        if name not in columns:
            raise DataError(f"{path}: no column {name!r}, expected one of {', '.join(columns)}")
        if declared.count(name) > 1:
            raise DataError(f"{path}: column {name!r} is declared twice, expected once")
    answers = sorted({record[label] for _, record in records})
    if len(answers) != 2:
        shown = ", ".join(map(repr, answers[:4])) + (", ..." if len(answers) > 4 else "")
        raise DataError(
            f"{path}: label {label} has {len(answers)} different entries ({shown}), expected two: no and yes"
        )
    values = [[record[name] for _, record in records] for name in categories]
    measured = [[_number(path, *record, name) for record in records] for name in numbers]
    labels = np.array([answers.index(record[label]) for _, record in records], dtype=np.int64)
    return table(str(path), (categories, values), (numbers, measured), labels, tuple(answers), crosses, least, split)


def table(name, categories, numbers, labels, label_names, crosses=(), least=1, split="rows"):
    """The Dataset of columns: (names, list of columns) of categories, whose entries are str, and of numbers."""
    names, values = map(list, categories)
    for cross in _names(crosses):
        both = cross.split("*")
        if len(both) != 2 or not set(both) <= set(names):
            expected = "two categories, such as --set data.crosses=site*device"
            raise DataError(f"{name}: option crosses: got {cross!r}, expected {expected}; there are {', '.join(names)}")
        values.append([f"{a}*{b}" for a, b in zip(*(values[names.index(one)] for one in both), strict=True)])
        names.append(cross)
    if not names and not numbers[0]:
        raise DataError(f"{name}: no column is declared, expected --set data.categories=... or --set data.numbers=...")
    coded = [np.unique(column, return_inverse=True) for column in values]
    rows = np.stack([*(codes for _, codes in coded), *map(np.asarray, numbers[1])], axis=1).astype(np.float32)
    fields = (*(Field(one, tuple(known.tolist())) for one, (known, _) in zip(names, coded, strict=True)),)
    whole = TableSet(name, rows, (*fields, *map(Field, numbers[0])), labels, label_names)
    parts = split_rows(whole, split)
    return Dataset(name, *(_of_training(part, parts.train, least) for part in (parts.train, parts.test)))


def _of_training(part, train, least):
    """A part whose categories have the values of the training part with ``least`` rows or more, after "(other)"."""
    rows, fields = part.rows.copy(), list(part.fields)
    for k, size in enumerate(part.sizes):
        kept = np.bincount(train.rows[:, k].astype(int), minlength=size) >= least
        rows[:, k] = np.where(kept, np.cumsum(kept), 0)[part.rows[:, k].astype(int)]
        values = np.array(part.fields[k].values, dtype=object)[kept]
        fields[k] = Field(part.fields[k].name, (OTHER, *values))
    return TableSet(part.name, rows, tuple(fields), part.labels, part.label_names)


def _names(names):
    return [name for name in names.split(",") if name] if isinstance(names, str) else list(names)


def _number(path, line, record, column):
    try:
        found = float(record[column])
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        hint = "fill empty ones first, or declare the column among categories" if not record[column].strip() else ""
        raise DataError(
            f"{path}: line {line}: {column} is {record[column]!r:.40}, expected a number such as 1.5"
            + (f"; {hint}" if hint else "")
        )
    return found
