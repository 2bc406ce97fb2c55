"""Golden vectors: one JSON file per loss and variant, which any project can run without this package.

``export`` writes a set: the files, ``schema.json``, which describes them, and ``SHA256SUMS``. Inputs are stored, never
drawn again; values and gradients are the definition's in 50-digit arithmetic, rounded once to float64. Floating-point
numbers are C99 hexadecimal ones (``hexadecimal.py``). ``verify.py`` computes a set again from its stored inputs and
says what changed. ``scripts/read_vectors.py`` runs a set in plain Python and NumPy.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

import mini_repr
from mini_repr import catalogue
from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.cases import FLAGS, cases_for, drawn, float_arrays, needs_of
from mini_repr.conformance.compare import allowed_errors
from mini_repr.conformance.exact import DIGITS, exact_terms, exact_value_and_grad
from mini_repr.conformance.forms import Form
from mini_repr.conformance.hexadecimal import decode, encode
from mini_repr.conformance.rewrites.evaluate import compiled, value_at
from mini_repr.conformance.rewrites.every import place_of, rewrites_of
from mini_repr.conformance.schema import SCHEMA
from mini_repr.conformance.schemes import scheme_fits
from mini_repr.conformance.slips import ALTERATIONS
from mini_repr.pages.names import find_loss
from mini_repr.pages.registry import all_losses
from mini_repr.training.folder import writing

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
MOST_SLIPS = 40


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
        (folder / SUMS).write_text("".join(f"{sha256(folder / n)}  {n}\n" for n in names))
        folder.chmod(0o755)  # mkdtemp's is for its owner only
        os.replace(folder, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return [*names, SUMS]


def document_of(loss, variant="default"):
    """The content of one file, as plain lists, dicts, strings and numbers."""
    settings, needs = settings_of(loss, variant), needs_of(loss, variant)
    cases = exported_cases(loss, settings, needs)
    paper = catalogue.paper(loss.papers[0])
    return {
        "schema": "mini_repr vectors 1",
        "generator": {"mini_repr": mini_repr.__version__, "mpmath": _mpmath_version(), "digits": DIGITS},
        "loss": loss.name,
        "variant": variant,
        "says": loss.variants[variant].description if variant != "default" else "the paper's values",
        "paper": {"key": paper.key, "title": paper.title, "cite": paper.cite()},
        "source": source_of(loss),
        "params": {n: encode(v) for n, v in loss.complete(settings).items() if not _is_array(loss, n)},
        "tolerance_rule": TOLERANCE_RULE,
        "flags": {f: FLAGS[f] for f in FLAGS if any(f in case.flags for case in cases)},
        "cases": [case_document(loss, settings, case) for case in cases],
        **({"ranks": ranks_document(loss, settings, needs=needs)} if loss.compares in _COMPARE_ROWS else {}),
    }


def ranks_document(loss, settings, inputs=None, needs=None):
    """A batch, its loss and gradients, and by what factor each way to compute them on W ranks is off."""
    if inputs is None:
        inputs = drawn(loss, "ranks", settings, needs, **{loss.arrays[0].annotation.letters[0]: ROWS})
    value, gradients = exact_value_and_grad(loss, {**inputs, **settings}).rounded()
    worlds = []
    for world in RANKS:
        schemes = []
        for scheme, fit in scheme_fits(loss, {**inputs, **settings}, world):
            factor = {"factor": encode(float(f"{fit.factor:.9g}"))} if fit.exact else {}
            schemes.append({"scheme": scheme.name, "says": scheme.description, **factor})
        worlds.append({"ranks": world, "schemes": schemes})
    return {
        "comment": RANKS_COMMENT,
        "inputs": {n: encode(x) for n, x in inputs.items()},
        "value": encode(value),
        "gradients": {n: encode(g) for n, g in gradients.items()},
        "worlds": worlds,
    }


def exported_cases(loss, settings, needs=None):
    """The battery without what is the same numbers again."""
    return [case for case in cases_for(loss, settings, needs) if not {"layout", "float32"} & set(case.flags)]


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
    value, gradients = exact_value_and_grad(loss, arguments).rounded()
    if not all(np.isfinite(x).all() for x in (value, *gradients.values())):  # beyond float64, where the page is not
        return {**document, "result": "undefined"}
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
        return exact_terms(loss, arguments)
    except TypeError:  # a page that long numbers cannot run on
        return loss(**arguments).terms


def settings_of(loss, variant):
    """The settings that make a variant; none for ``default``."""
    return dict(loss.variants[variant].settings) if variant != "default" else {}


def source_of(loss):
    """The page's paragraph that names paper and equation, on one line."""
    paragraphs = loss.own_text.split("\n\n")
    source = next((p for p in paragraphs if p.startswith("Source.")), "")
    return " ".join(source.removeprefix("Source.").split())


def _allowed(loss, arguments, exact, dtype):
    """{"value" or "grad NAME": absolute error}, as TOLERANCE_RULE says."""
    allowed = allowed_errors(loss, loss.complete(arguments), exact, dtype)
    given = {n: x.astype(dtype) if n in float_arrays(loss) else x for n, x in arguments.items()}
    try:
        with np.errstate(all="ignore"):
            value, gradients = loss.value_and_grad(**given)
    except ValueError:  # in this precision the page refuses these inputs
        return allowed
    lost = {"value": abs(float(value) - exact.value)}
    lost.update({f"grad {n}": float(np.abs(g - exact.gradients[n]).max()) for n, g in gradients.items()})
    return {part: max(least, 4 * lost[part]) if math.isfinite(lost[part]) else least for part, least in allowed.items()}


def _power_of_two(error):
    """The next one, encoded: a tolerance that does not change with the last digits of what it was measured from."""
    return encode(2.0 ** math.ceil(math.log2(error)) if error else 0.0)


def _values_of_slips(loss, arguments, value, tolerance):
    """What known mistakes give here: [{"slip", "says", "value"}], those whose value tells them apart in float32 too.

    They are the hand-written slips, and what can be left out of the formula.
    """
    given = loss.complete(arguments)
    slips = {s.name: (s.description, Form({}, s).value(loss, given)) for s in ALTERATIONS if s.applies(loss)}
    for rewrite in rewrites_of(loss, given):
        of_page = rewrite.formula.is_definition and rewrite.likelihood == 0 and len(rewrite.edits) == 1
        if of_page and len(slips) < MOST_SLIPS:
            with rewrite.applied():
                call = compiled(rewrite.formula)
            line = rewrite.diff()[0][1]
            says = f"in {place_of(rewrite)}, {rewrite.words}"
            slips.setdefault(line, (says, call and value_at(call, loss, given)))
    found = {}  # by value: two rewrites may be one function
    for name, (says, buggy) in slips.items():
        if buggy is not None and math.isfinite(buggy) and abs(buggy - value) > 2 * decode(tolerance["value"]):
            stored = encode(float(f"{buggy:.9g}"))
            found.setdefault(stored, {"slip": name, "says": says, "value": stored})
    return list(found.values())


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
    with writing(path):
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
