"""A stored set of golden vectors, read, and computed again by this version."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mini_repr.conformance.cases import Case, needs_of
from mini_repr.conformance.hexadecimal import decode
from mini_repr.conformance.vectors import (
    SUMS,
    case_document,
    exported_cases,
    ranks_document,
    settings_of,
    sha256,
)
from mini_repr.pages.names import choose, find_loss


@dataclass(frozen=True)
class Vector:
    """One stored case and what must come out. ``gradients`` is None where they are not to be judged.

    ``tolerance``: {"float64" or "float32": {"value" or "grad NAME": absolute error}}.
    """

    case: Case
    value: float | None
    gradients: dict | None
    terms: dict
    tolerance: dict
    document: dict  # the case as it stands in the file


@dataclass(frozen=True)
class VectorFile:
    """A file of vectors: the loss, its variant, the settings of that variant and the cases."""

    path: Path
    loss: str
    variant: str
    settings: dict
    vectors: list
    ranks: dict | None  # the distributed oracle as it stands in the file, its inputs decoded


def read_vectors(path):
    """A stored file as a VectorFile.

    Raises:
        ValueError: not a file of vectors; the message names the file, the case and the first thing that is wrong.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    with _reading(path):
        loss, variant = find_loss(document["loss"]), document["variant"]
        choose(f"variant of {loss.name}", variant, ["default", *loss.variants])
        settings = settings_of(loss, variant)
        cases, ranks = list(document["cases"]), document.get("ranks")
    with _reading(f"{path}: ranks"):
        ranks = ranks and {**ranks, "inputs": {n: decode(x) for n, x in ranks["inputs"].items()}}
    vectors = []
    for number, stored in enumerate(cases):
        with _reading(f"{path}: cases[{number}]"):
            vectors.append(_vector(stored, settings))
    return VectorFile(path, loss.name, variant, settings, vectors, ranks)


@contextmanager
def _reading(place):
    """Turn what a malformed document makes Python raise into one line that says where."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{place}: has no {error}; schema.json describes these files") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{place}: {error}; schema.json describes these files") from None
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _vector(stored, settings):
    arguments = {n: decode(x) for n, x in {**stored["inputs"], **stored["params"], **settings}.items()}
    labels = stored["id"], stored["comment"], tuple(stored["flags"])
    case = Case(*labels, arguments, "float64", stored["result"])
    gradients = stored.get("gradients")
    return Vector(
        case,
        _decoded(stored["value"]) if "value" in stored else None,
        None if gradients is None else {n: _decoded(g) for n, g in gradients.items()},
        {n: _decoded(x) for n, x in stored.get("terms", {}).items()},
        {d: {part: _decoded(x) for part, x in t.items()} for d, t in stored.get("tolerance", {}).items()},
        stored,
    )


def _decoded(stored):
    number = decode(stored)
    if isinstance(number, str):
        raise ValueError(f"{stored!r} is no hexadecimal floating-point number")
    return number


def verify(folder):
    """Compare a stored set with what this version computes.

    Returns:
        list of lines, one per change; empty where nothing changed.
    Raises:
        ValueError: no set there, or a file of it cannot be read.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        raise ValueError(f"{folder}: no set of vectors (it has no {SUMS})")
    listed = dict(reversed(line.split("  ", 1)) for line in (folder / SUMS).read_text().splitlines())
    changes = [f"{n}: not listed in {SUMS}" for n in _names(folder) if n not in listed]
    for name, digest in listed.items():
        path = folder / name
        if not path.is_file():
            changes.append(f"{name}: missing")
            continue
        if sha256(path) != digest:
            changes.append(f"{name}: the file is not the one that was written (its checksum differs)")
        if name != "schema.json":
            file = read_vectors(path)
            with _reading(path):
                changes += [f"{name}: {change}" for change in _changes_in(file)]
    return changes


def _names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != SUMS)


def _changes_in(file):
    """What this version computes otherwise, case by case, and which cases it has more or less."""
    loss = find_loss(file.loss)
    cases = {case.id: case for case in exported_cases(loss, file.settings, needs_of(loss, file.variant))}
    stored = {v.case.id for v in file.vectors}
    yield from (f"{case}: this version has no such case" for case in sorted(stored - cases.keys()))
    yield from (f"{case}: a case that the file lacks" for case in cases if case not in stored)
    if file.ranks is not None:
        fresh = ranks_document(loss, file.settings, file.ranks["inputs"])
        del fresh["inputs"]
        yield from (f"ranks: {part} changed" for part, now in fresh.items() if now != file.ranks.get(part))
    for vector in file.vectors:
        case = vector.case
        # From the stored inputs; what the page says of them (valid, error) may have changed.
        result = cases[case.id].result if case.id in cases else case.result
        fresh = case_document(loss, file.settings, replace(case, result=result))
        for part in ("result", "error", "value", "terms", "gradients", "zero_gradients"):
            before, after = vector.document.get(part), fresh.get(part)
            if before != after:
                yield f"{case.id}: {part}: {_in_short(before)} became {_in_short(after)}"
        slips_now = {slip["slip"]: slip["value"] for slip in fresh.get("matches_if_buggy", [])}
        for slip in vector.document.get("matches_if_buggy", []):  # new ones are no change of these
            after = slips_now.get(slip["slip"], "none")
            if after != slip["value"]:
                yield f"{case.id}: matches_if_buggy {slip['slip']}: {slip['value']} became {after}"


def _in_short(stored, width=60):
    text = stored if isinstance(stored, str) else json.dumps(stored, ensure_ascii=False)
    return text if len(text) <= width else f"{text[: width - 3]}..."
