"""Golden vectors: one JSON file per loss and variant, which any project can run without this package.

``export`` writes a set: the files, ``schema.json``, which describes them, and ``SHA256SUMS``. Inputs are stored, never
drawn again; values and gradients are the definition's in 50-digit arithmetic, rounded once to float64. Floating-point
numbers are C99 hexadecimal ones, exact and easy to compare. ``verify`` computes a set again from its stored inputs and
says what changed. ``scripts/read_vectors.py`` runs a set in plain Python and NumPy.

File mode, for an environment that cannot sit beside this package: the results are an npz file with, for each case that
was run, ``CASEID/value`` (one number) and, where there are gradients, ``CASEID/grad_NAME`` for each argument.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import mini_repr
from mini_repr import catalogue
from mini_repr.autograd import Tensor, no_grad
from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.agreement import allowed_errors, complete
from mini_repr.conformance.cases import FLAGS, Case, cases_for, drawn, float_arrays
from mini_repr.conformance.certified import DIGITS, certified, certified_terms
from mini_repr.conformance.ranks import scheme_fits
from mini_repr.conformance.schema import SCHEMA, problems
from mini_repr.conformance.slips import ALTERATIONS
from mini_repr.pages.names import find_loss
from mini_repr.pages.registry import all_losses

SUMS = "SHA256SUMS"
TOLERANCE_RULE = (
    "absolute error allowed in that precision: the largest of 8 times what the literal formula loses on these inputs "
    "and on inputs moved by one unit in the last place, 4 times what the page's fast form loses, and 32 units in the "
    "last place of the result (of 1 for a smaller value, of value / input for a gradient that cancels to nothing); "
    "rounded up to a power of two"
)
# The distributed oracle: numbers of ranks, rows that all of them divide, and the folders whose losses compare rows.
RANKS = (1, 2, 4)
ROWS = 8
_COMPARE_ROWS = ("pairs", "labels")
RANKS_COMMENT = (
    "rank r of W holds rows rN/W to (r+1)N/W - 1 of every input with N rows, and should receive those rows of "
    "the gradients; factor: what arrives at the parameters over what should, absent where it is no multiple"
)
# Slips are told apart on random rows; elsewhere many of them coincide.
_SLIPS_AT = "ordinary"


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
    ranks: dict | None  # the distributed oracle as it stands in the file


# --- writing ---------------------------------------------------------------------------------------------------------


def export(out, name=None):
    """Write the vectors of one loss, or of all, into the new folder ``out``: the whole set, or nothing.

    Returns:
        list of the file names written, checksums last.
    Raises:
        ValueError: no such loss; ``out`` exists and is not empty; mpmath is missing.
    """
    out = Path(out)
    chosen = {name: find_loss(name)} if name is not None else all_losses()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: exists already, expected a new or an empty folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for loss in chosen.values():
            for variant in ("default", *loss.variants):
                _write_json(folder / f"{loss.name}-{variant}.json", document_of(loss, variant))
        _write_json(folder / "schema.json", SCHEMA)
        names = sorted(path.name for path in folder.iterdir())
        (folder / SUMS).write_text("".join(f"{_sha256(folder / n)}  {n}\n" for n in names))
        folder.chmod(0o755)  # mkdtemp's is for its owner only
        os.replace(folder, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return [*names, SUMS]


def document_of(loss, variant="default"):
    """The content of one file, as plain lists, dicts, strings and numbers."""
    settings = settings_of(loss, variant)
    cases = _cases(loss, settings)
    paper = catalogue.paper(loss.papers[0])
    return {
        "schema": "mini_repr vectors 1",
        "generator": {"mini_repr": mini_repr.__version__, "mpmath": _mpmath_version(), "digits": DIGITS},
        "loss": loss.name,
        "variant": variant,
        "says": loss.variants[variant].description if variant != "default" else "the paper's values",
        "paper": {"key": paper.key, "title": paper.title, "cite": paper.cite()},
        "source": source_of(loss),
        "params": {n: encode(v) for n, v in complete(loss, settings).items() if not _is_array(loss, n)},
        "tolerance_rule": TOLERANCE_RULE,
        "flags": {f: FLAGS[f] for f in FLAGS if any(f in case.flags for case in cases)},
        "cases": [case_document(loss, settings, case) for case in cases],
        **({"ranks": ranks_document(loss, settings)} if loss.compares in _COMPARE_ROWS else {}),
    }


def ranks_document(loss, settings, inputs=None):
    """A batch, its loss and gradients, and by what factor each way to compute them on W ranks is off."""
    if inputs is None:
        inputs = drawn(loss, "ranks", settings, **{loss.arrays[0].annotation.letters[0]: ROWS})
    value, gradients = certified(loss, {**inputs, **settings}).rounded()
    worlds = []
    for world in RANKS:
        schemes = []
        for scheme, fit in scheme_fits(loss, {**inputs, **settings}, world):
            factor = {"factor": encode(float(f"{fit.factor:.9g}"))} if fit.exact else {}
            schemes.append({"scheme": scheme.name, "says": scheme.says, **factor})
        worlds.append({"ranks": world, "schemes": schemes})
    return {
        "comment": RANKS_COMMENT,
        "inputs": {n: encode(x) for n, x in inputs.items()},
        "value": encode(value),
        "gradients": {n: encode(g) for n, g in gradients.items()},
        "worlds": worlds,
    }


def _cases(loss, settings):
    """The battery without what is the same numbers again."""
    return [case for case in cases_for(loss, settings) if not {"layout", "float32"} & set(case.flags)]


def case_document(loss, settings, case):
    """One case: what goes in, and what comes out by the definition in long arithmetic."""
    arguments = case.arguments
    document = {
        "id": case.id,
        "comment": case.comment,
        "flags": list(case.flags),
        "result": case.result,
        "inputs": {n: encode(x) for n, x in arguments.items() if _is_array(loss, n)},
        "params": {n: encode(x) for n, x in arguments.items() if not _is_array(loss, n) and n not in settings},
    }
    if case.result == "error":
        return {**document, "error": _message(loss, arguments)}
    if case.result == "undefined":
        return document
    value, gradients = certified(loss, arguments).rounded()
    document["value"] = encode(value)
    document["terms"] = {n: encode(float(x)) for n, x in _terms(loss, arguments).items()}
    document["zero_gradients"] = [n for n in arguments if _is_frozen(loss, n)]
    if case.differentiable:
        document["gradients"] = {n: encode(g) for n, g in gradients.items()}
    exact = Outcome(value, gradients, np.dtype("float64"))
    for dtype in ("float64", "float32"):
        allowed = _allowed(loss, arguments, exact, np.dtype(dtype))
        judged = {p: _power_of_two(error) for p, error in allowed.items() if p == "value" or case.differentiable}
        document.setdefault("tolerance", {})[dtype] = judged
    if case.id == _SLIPS_AT:
        document["matches_if_buggy"] = _values_of_slips(loss, arguments, value, document["tolerance"]["float32"])
    return document


def _terms(loss, arguments):
    try:
        return certified_terms(loss, arguments)
    except TypeError:  # a page that long numbers cannot run on
        return loss(**arguments).terms


def settings_of(loss, variant):
    """The settings that make a variant; none for ``default``."""
    return dict(loss.variants[variant].settings) if variant != "default" else {}


def source_of(loss):
    """The page's paragraph that names paper and equation, on one line."""
    paragraphs = loss.__doc__.split("\n\n")
    source = next((p for p in paragraphs if p.startswith("Source.")), "")
    return " ".join(source.removeprefix("Source.").split())


def _allowed(loss, arguments, exact, dtype):
    """{"value" or "grad NAME": absolute error}, as TOLERANCE_RULE says."""
    allowed = allowed_errors(loss, complete(loss, arguments), exact, dtype)
    given = {n: x.astype(dtype) if n in float_arrays(loss) else x for n, x in arguments.items()}
    with np.errstate(all="ignore"):
        value, gradients = loss.value_and_grad(**given)
    lost = {"value": abs(float(value) - exact.value)}
    lost.update({f"grad {n}": float(np.abs(g - exact.gradients[n]).max()) for n, g in gradients.items()})
    return {part: max(least, 4 * lost[part]) if math.isfinite(lost[part]) else least for part, least in allowed.items()}


def _power_of_two(error):
    """The next one, encoded: a tolerance that does not change with the last digits of what it was measured from."""
    return encode(2.0 ** math.ceil(math.log2(error)) if error else 0.0)


def _values_of_slips(loss, arguments, value, tolerance):
    """What known mistakes give here: [{"slip", "says", "value"}], those whose value tells them apart in float32 too."""
    found = []
    for slip in ALTERATIONS:
        if not slip.applies(loss):
            continue
        given = complete(loss, arguments)
        for name in loss.differentiable:
            if given[name] is not None:
                given[name] = Tensor(np.asarray(given[name]))
        with no_grad(), np.errstate(all="ignore"):
            buggy = float(slip.evaluate(loss, given).data)
        if math.isfinite(buggy) and abs(buggy - value) > 2 * decode(tolerance["value"]):
            found.append({"slip": slip.name, "says": slip.says, "value": encode(float(f"{buggy:.9g}"))})
    return found


def _message(loss, arguments):
    try:
        loss(**arguments)
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{loss.name}: the page accepts a case that it refused")


def _is_array(loss, name):
    return loss.parameters[name].annotation.is_array


def _is_frozen(loss, name):
    annotation = loss.parameters[name].annotation
    return getattr(annotation.bare, "frozen", False)


def _mpmath_version():
    import mpmath

    return mpmath.__version__


def _write_json(path, document):
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- numbers as text -------------------------------------------------------------------------------------------------


def encode(value):
    """Arrays as {"shape", "dtype", "data": "0x1.8p+0 ..."}, a float as one hexadecimal string, the rest as it is."""
    if isinstance(value, np.ndarray) and value.ndim:
        write = _hex if value.dtype.kind == "f" else lambda x: str(int(x))
        data = " ".join(write(x) for x in value.ravel().tolist())
        return {"shape": list(value.shape), "dtype": str(value.dtype), "data": data}
    if isinstance(value, float | np.floating | np.ndarray):
        return _hex(float(value))
    return value


def decode(stored):
    """The other way; strings that are no hexadecimal numbers stay."""
    if isinstance(stored, dict):
        read = float.fromhex if stored["dtype"].startswith("float") else int
        values = [read(word) for word in stored["data"].split()]
        return np.array(values, dtype=stored["dtype"]).reshape(stored["shape"])
    is_number = isinstance(stored, str) and stored.removeprefix("-").startswith("0x")
    return float.fromhex(stored) if is_number else stored


def _hex(x):
    """0x1.8p+0: ``float.hex`` without the zeros at the end of the fraction."""
    digits, power = x.hex().split("p")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{power}"


# --- reading ---------------------------------------------------------------------------------------------------------


def read_vectors(path):
    """A stored file as a VectorFile.

    Raises:
        ValueError: not a file of vectors; the message names the file and the first thing that is wrong with it.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    wrong = problems(document)
    if wrong:
        raise ValueError(f"{path}: {wrong[0]}")
    loss = find_loss(document["loss"])
    variant = document["variant"]
    if variant != "default" and variant not in loss.variants:
        raise ValueError(f"{path}: {loss.name} has no variant {variant!r} in this version")
    settings = settings_of(loss, variant)
    vectors = [_vector(c, settings) for c in document["cases"]]
    return VectorFile(path, loss.name, variant, settings, vectors, document.get("ranks"))


def _vector(stored, settings):
    arguments = {n: decode(x) for n, x in {**stored["inputs"], **stored["params"]}.items()}
    case = Case(
        stored["id"],
        stored["comment"],
        tuple(stored["flags"]),
        {**arguments, **settings},
        "float64",
        stored["result"],
    )
    gradients = stored.get("gradients")
    return Vector(
        case,
        decode(stored.get("value")),
        None if gradients is None else {n: decode(g) for n, g in gradients.items()},
        {n: decode(x) for n, x in stored.get("terms", {}).items()},
        {d: {part: decode(x) for part, x in t.items()} for d, t in stored.get("tolerance", {}).items()},
        stored,
    )


def verify(folder):
    """Hold a stored set against this version.

    Returns:
        list of lines, one for each thing that is not as it was; empty where all is.
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
        if _sha256(path) != digest:
            changes.append(f"{name}: the file is not the one that was written (its checksum differs)")
        if name != "schema.json":
            changes += [f"{name}: {change}" for change in _changes_in(read_vectors(path))]
    return changes


def _names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != SUMS)


def _changes_in(file):
    """What this version computes otherwise, case by case, and which cases it has more or less."""
    loss = find_loss(file.loss)
    now = {case.id: case for case in _cases(loss, file.settings)}
    stored = {v.case.id for v in file.vectors}
    yield from (f"{case}: this version has no such case" for case in sorted(stored - now.keys()))
    yield from (f"{case}: a case that the file lacks" for case in now if case not in stored)
    if file.ranks is not None:
        inputs = {n: decode(x) for n, x in file.ranks["inputs"].items()}
        fresh = ranks_document(loss, file.settings, inputs)
        yield from (f"ranks: {part} changed" for part in fresh if fresh[part] != file.ranks.get(part))
    for vector in file.vectors:
        case = vector.case
        # From the stored inputs; what the page says of them (valid, error) may have changed.
        result = now[case.id].result if case.id in now else case.result
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
