"""Golden vectors: written whole, described by their schema, read without this package, checked against this version.

``golden/`` holds a few files of an earlier export. When a definition or the battery is changed on purpose, write them
anew with
`mini-repr vectors export` and say so in the commit.
"""

import copy
import hashlib
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from mini_repr.cli import main
from mini_repr.conformance import vectors
from mini_repr.conformance.cases import cases_for
from mini_repr.conformance.hexadecimal import decode, encode
from mini_repr.conformance.schema import SCHEMA
from mini_repr.conformance.vectors import case_document, document_of, export
from mini_repr.conformance.verify import read_vectors, verify
from mini_repr.pages.registry import all_losses

pytest.importorskip("mpmath")

LOSSES = all_losses()
GOLDEN = Path(__file__).parent / "golden"
READER = Path(__file__).parents[2] / "scripts" / "read_vectors.py"


def problems(document, schema=SCHEMA):
    """What is wrong with a document, one line each."""
    return [error.message for error in Draft202012Validator(schema).iter_errors(document)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("vectors") / "set"
    export(out, "sparsemax")
    return out


@pytest.fixture
def copied(exported, tmp_path):
    """A set to spoil, and how to spoil one document of it without touching its checksum's truth."""
    out = tmp_path / "set"
    out.mkdir()
    for path in exported.iterdir():
        (out / path.name).write_bytes(path.read_bytes())

    def spoil(change, name="sparsemax-default.json"):
        document = json.loads((out / name).read_text())
        change(document)
        (out / name).write_text(json.dumps(document))
        rows = [
            f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in out.iterdir() if p.suffix == ".json"
        ]
        (out / "SHA256SUMS").write_text("".join(sorted(rows)))

    return out, spoil


def test_golden_files_are_what_this_version_computes():
    assert verify(GOLDEN) == []
    assert len(list(GOLDEN.glob("*-*.json"))) >= 3


def test_export_writes_all_variants_schema_and_checksums(exported):
    names = sorted(path.name for path in exported.iterdir())
    assert names == ["SHA256SUMS", "schema.json", "sparsemax-default.json", "sparsemax-sum.json"]
    for line in (exported / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest
    schema = json.loads((exported / "schema.json").read_text())
    assert problems(json.loads((exported / "sparsemax-sum.json").read_text()), schema) == []
    assert verify(exported) == []


@pytest.mark.parametrize("name, variant", [(n, v) for n, x in LOSSES.items() for v in ("default", *x.variants)])
def test_a_document_of_every_loss_and_variant_fits_the_schema(name, variant, monkeypatch):
    """Slips that cannot be made, exact values beyond float64 and inputs that float32 refuses leave the file whole."""
    kept = ("ordinary", "batch-of-one", "zero-row", "ties", "large", "temperature-to-zero", "offset-1e8")
    monkeypatch.setattr(vectors, "cases_for", lambda *given: [c for c in cases_for(*given) if c.id in kept])
    document = json.loads(json.dumps(document_of(LOSSES[name], variant)))
    assert problems(document) == []
    assert document["source"] and ("arXiv" in document["source"] or "doi" in document["source"])
    cases = {case["id"]: case for case in document["cases"]}
    assert set(cases["ordinary"]["gradients"]) == {
        n for n in LOSSES[name].differentiable if n in cases["ordinary"]["inputs"] or n in document["params"]
    }
    for case in cases.values():
        assert ("value" in case) == (case["result"] == "valid")
        assert ("error" in case) == (case["result"] == "error")
        assert ("gradients" in case) == (case["result"] == "valid" and "not-differentiable" not in case["flags"])


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda d: d.pop("loss"), "'loss' is a required property"),
        (lambda d: d.update(more=1), "'more' was unexpected"),
        (lambda d: d["cases"][0].update(value="1.5"), "'1.5' does not match"),
        (lambda d: d["cases"][0].update(result="fine"), "'fine' is not one of ['valid', 'undefined', 'error']"),
        (lambda d: d["cases"][0]["inputs"]["scores"].update(dtype="float16"), "float16"),
        (lambda d: d["cases"][0]["inputs"].update(scores=3), "3 is not of type 'object'"),
        (lambda d: d["generator"].update(digits=True), "True is not of type 'integer'"),
    ],
)
def test_schema_names_what_is_wrong(exported, change, says):
    document = json.loads((exported / "sparsemax-default.json").read_text())
    assert problems(document) == []
    change(document)
    assert any(says in line for line in problems(document)), problems(document)


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda d: d.pop("loss"), "has no 'loss'"),
        (lambda d: d.update(loss="sparsemacs"), "did you mean 'sparsemax'?"),
        (lambda d: d.update(variant="summ"), "did you mean 'sum'?"),
        (lambda d: d.update(cases=3), "'int' object is not iterable"),
        (lambda d: d["cases"].insert(1, 3), r"cases\[1\]: 'int' object is not subscriptable"),
        (lambda d: d["cases"][0].pop("flags"), r"cases\[0\]: has no 'flags'"),
        (lambda d: d["cases"][0].update(value="1.5"), r"cases\[0\]: '1.5' is no hexadecimal"),
        (lambda d: d["cases"][0]["inputs"]["scores"].update(dtype="float16"), r"cases\[0\]: dtype: got 'float16'"),
        (lambda d: d["cases"][0]["inputs"].update(scores=3), "sparsemax: scores: got int, expected an array"),
    ],
)
def test_a_malformed_file_is_one_line_without_jsonschema(copied, monkeypatch, change, says):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    out, spoil = copied
    spoil(change)
    result = CliRunner().invoke(main, ["vectors", "verify", str(out)])
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert re.search(f"^Error: .*{says}", result.stderr), result.stderr


def test_numbers_come_back_exactly():
    rng = np.random.default_rng(0)
    for array in (rng.standard_normal((3, 2)) * 1e-310, np.array([0.0, -0.0, 1e300, -0.1]), np.array([[-3, 10**6]])):
        back = decode(json.loads(json.dumps(encode(array))))
        assert back.dtype == array.dtype and back.tobytes() == array.tobytes()
    np.testing.assert_array_equal(decode(encode(np.array([True, False]))), [True, False])
    for value in (0.1, -1.5, 0.0, 5e-324, np.float64(2.5)):
        assert float.fromhex(encode(value)) == value == decode(encode(value))
    assert [decode(encode(x)) for x in ("views", True, 3, None)] == ["views", True, 3, None]


def test_reading_gives_the_cases_back(exported):
    file = read_vectors(exported / "sparsemax-sum.json")
    assert (file.loss, file.variant, file.settings) == ("sparsemax", "sum", {"reduction": "sum"})
    drawn = {case.id: case for case in cases_for(LOSSES["sparsemax"], file.settings)}
    for vector in file.vectors:
        assert vector.case.flags == drawn[vector.case.id].flags
        for name, value in drawn[vector.case.id].arguments.items():
            np.testing.assert_array_equal(vector.case.arguments[name], value)
        if vector.case.result == "valid":
            value, gradients = LOSSES["sparsemax"].value_and_grad(**vector.case.arguments)
            assert abs(value - vector.value) <= vector.tolerance["float64"]["value"]
            if vector.gradients is not None:
                error = np.abs(gradients["scores"] - vector.gradients["scores"]).max()
                assert error <= vector.tolerance["float64"]["grad scores"]


def test_tolerances_are_tight_and_grow_with_lower_precision():
    for case in json.loads((GOLDEN / "infonce-nt_xent.json").read_text())["cases"]:
        if case["result"] == "valid":
            double, single = case["tolerance"]["float64"], case["tolerance"]["float32"]
            assert all(decode(double[part]) < decode(single[part]) for part in double)
            if "ordinary" in case["flags"]:
                assert decode(double["value"]) < 1e-12 and decode(single["value"]) < 1e-4


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("id", ["uneven", "large", "one-column"])
def test_the_page_itself_stays_within_the_tolerances(id, dtype):
    """Its fast form loses more than the literal one where rows are of very unequal or great length."""
    loss, settings = LOSSES["uniformity"], LOSSES["uniformity"].variants["raw_rows"].settings
    case = next(case for case in cases_for(loss, settings) if case.id == id)
    document = case_document(loss, settings, case)
    value, gradients = loss.value_and_grad(case.arguments["z"].astype(dtype), **settings)
    errors = {"value": value - decode(document["value"]), "grad z": gradients["z"] - decode(document["gradients"]["z"])}
    for part, error in errors.items():
        assert np.abs(error).max() <= decode(document["tolerance"][dtype][part])


def test_stop_gradients_and_terms_are_recorded():
    loss = LOSSES["negative_cosine"]
    document = case_document(loss, {}, cases_for(loss)[0])
    assert document["zero_gradients"] == ["z1", "z2"]
    assert set(document["gradients"]) == {"p1", "p2"}
    assert set(document["terms"]) == {"p1_to_z2", "p2_to_z1"}


def test_slips_give_the_numbers_that_are_stored():
    case = json.loads((GOLDEN / "infonce-nt_xent.json").read_text())["cases"][0]
    a, b = decode(case["inputs"]["a"]), decode(case["inputs"]["b"])
    z = np.concatenate([a, b]) / np.linalg.norm(np.concatenate([a, b]), axis=1, keepdims=True)
    logits, partner = z @ z.T / 0.1, (np.arange(12) + 6) % 12
    kept = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(12), partner])
    stored = {slip["slip"]: decode(slip["value"]) for slip in case["matches_if_buggy"]}
    line = "candidates = concatenate(own, off_diagonal(anchors @ partners.T), anchors @ anchors.T, *further, axis=1)"
    assert stored[line] == pytest.approx(kept, rel=1e-8)
    assert len(stored) >= 4 and decode(case["value"]) not in stored.values()


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda d: d["cases"][0].update(value="0x1p+0"), r"ordinary: value: 0x1p\+0 became 0x1\.\w+p"),
        (lambda d: d["cases"][0]["gradients"].clear(), "ordinary: gradients: {} became"),
        (lambda d: d["cases"][0].update(id="gone"), "gone: this version has no such case"),
        (lambda d: d["cases"].pop(3), "small: a case that the file lacks"),
        (lambda d: d["cases"][2].update(result="undefined"), "result: undefined became valid"),
    ],
)
def test_verify_says_what_changed(copied, change, says):
    out, spoil = copied
    spoil(change)
    found = verify(out)
    assert found and all(line.startswith("sparsemax-default.json: ") for line in found)
    assert any(re.search(says, line) for line in found), found


def test_verify_sees_files_that_are_missing_changed_or_new(copied):
    out, _ = copied
    (out / "schema.json").unlink()
    (out / "more.json").write_text("{}")
    with (out / "sparsemax-sum.json").open("a") as file:
        file.write("\n")
    found = verify(out)
    assert "schema.json: missing" in found and "more.json: not listed in SHA256SUMS" in found
    assert sum("checksum" in line for line in found) == 1


def test_export_is_whole_or_nothing(tmp_path, monkeypatch):
    calls = []

    def fails_at_the_second(loss, variant):
        calls.append(variant)
        if len(calls) == 2:
            raise OSError("disk full")
        return {}

    monkeypatch.setattr(vectors, "document_of", fails_at_the_second)
    with pytest.raises(OSError, match="disk full"):
        export(tmp_path / "set", "sparsemax")
    assert list(tmp_path.iterdir()) == []


NT_XENT = """
import numpy as np

def nt_xent(a, b, temperature, tile=None, **settings):
    z = np.concatenate([a, b])
    norms = np.linalg.norm(z, axis=1, keepdims=True)
    z = z / np.where(norms > 0, norms, 1)
    logits = z @ z.T / np.asarray(temperature, z.dtype)
    np.fill_diagonal(logits, -np.inf)
    top = logits.max(axis=1)
    rows = np.arange(len(z))
    positive = logits[rows, (rows + len(a)) % len(z)]
    return (top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - positive).mean()

def nearly(**arguments):
    return nt_xent(**arguments) * (1 + 1e-10)

def summed(**arguments):
    return nt_xent(**arguments) * len(arguments["a"])

def leaks(p1, z1, **settings):
    return 0.0, {"z1": z1 * 0 + 1e-9}
"""


def read_plainly(tmp_path, file, function, *dtype):
    (tmp_path / "mine.py").write_text(NT_XENT)
    command = [sys.executable, str(READER), str(file), f"{tmp_path / 'mine.py'}:{function}", *dtype]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_plain_reader_passes_a_faithful_function(tmp_path, dtype):
    assert read_plainly(tmp_path, GOLDEN / "infonce-nt_xent.json", "nt_xent", dtype) == (0, "all cases pass\n")


def test_plain_reader_fails_a_wrong_one_and_needs_no_mini_repr(tmp_path):
    code, text = read_plainly(tmp_path, GOLDEN / "infonce-nt_xent.json", "summed")
    assert code == 1 and "ordinary: value is off by" in text
    assert read_plainly(tmp_path, GOLDEN / "infonce-nt_xent.json", "nearly")[0] == 1
    assert read_plainly(tmp_path, GOLDEN / "infonce-nt_xent.json", "nearly", "float32")[0] == 0
    assert "mini_repr" not in READER.read_text() and len(READER.read_text().splitlines()) < 60
    document = copy.deepcopy(document_of_one_case("negative_cosine"))
    (tmp_path / "one.json").write_text(json.dumps(document))
    code, text = read_plainly(tmp_path, tmp_path / "one.json", "leaks")
    assert code == 1 and "grad z1 is off by 1e-09, allowed 0" in text


def document_of_one_case(name):
    loss = LOSSES[name]
    return {"params": {}, "cases": [case_document(loss, {}, cases_for(loss)[0])]}


def test_plain_reader_with_torch(tmp_path):
    torch = pytest.importorskip("torch")

    def cross_entropy(scores, labels, temperature, label_smoothing, **settings):
        scores = torch.from_numpy(scores).requires_grad_()
        temperature = torch.tensor(temperature, dtype=scores.dtype, requires_grad=True)
        loss = torch.nn.functional.cross_entropy(
            scores / temperature, torch.from_numpy(labels), label_smoothing=label_smoothing
        )
        loss.backward()
        return loss.item(), {"scores": scores.grad.numpy(), "temperature": temperature.grad.numpy()}

    failures = runpy.run_path(str(READER))["failures"]
    path = GOLDEN / "cross_entropy-smoothed.json"
    assert list(failures(path, cross_entropy)) == []
    assert list(failures(path, lambda **given: cross_entropy(**{**given, "label_smoothing": 0.0}))) != []


def test_commands(tmp_path):
    def run(*args):
        return CliRunner().invoke(main, [str(a) for a in args])

    out = tmp_path / "set"
    result = run("vectors", "export", "--out", out, "--loss", "sparsemax")
    assert (result.exit_code, result.output) == (0, f"{out}: 2 files of vectors\n")
    result = run("vectors", "verify", out)
    assert (result.exit_code, result.output) == (0, f"{out}: as this version computes it\n")
    (out / "schema.json").unlink()
    result = run("vectors", "verify", out)
    assert result.exit_code == 1 and "schema.json: missing\n" in result.output and "changes: 1\n" in result.output
    for args, part in [
        (("export", "--out", out), "exists already"),
        (("export", "--out", tmp_path / "b", "--loss", "infonse"), "infonce"),
        (("verify", tmp_path), "no set of vectors"),
    ]:
        result = run("vectors", *args)
        assert result.exit_code == 2 and result.stderr.startswith("Error: ") and part in result.stderr
        assert len(result.stderr.splitlines()) == 1
    (tmp_path / "text.json").write_text("not JSON")
    with pytest.raises(ValueError, match=r"text\.json: not JSON"):
        read_vectors(tmp_path / "text.json")


def test_ranks_are_stored_with_the_factor_of_every_scheme():
    """Gradient through the gather, averaged: right; summed: W times; without the gather's gradient: no multiple."""
    document = document_of(LOSSES["infonce"], "nt_xent")["ranks"]
    for world in document["worlds"]:
        found = {s["scheme"]: float.fromhex(s["factor"]) for s in world["schemes"] if "factor" in s}
        assert found["local_gather_grad"] == 1
        assert found["local_gather_grad_sum"] == world["ranks"]
        assert found["local_divided"] == 1 / world["ranks"]
        assert ("local_gather" in found) == (world["ranks"] == 1)
    assert [world["ranks"] for world in document["worlds"]] == [1, 2, 4]
    inputs = {n: decode(x) for n, x in document["inputs"].items()}
    value, gradients = LOSSES["infonce"].value_and_grad(**inputs, negatives="views")
    assert float(value) == pytest.approx(float.fromhex(document["value"]), rel=1e-12)
    np.testing.assert_allclose(gradients["a"], decode(document["gradients"]["a"]), atol=1e-12)
    assert "ranks" not in document_of(LOSSES["sparsemax"], "sum")


def test_verify_notices_a_changed_factor(tmp_path):
    document = document_of(LOSSES["triplet"], "default")
    document["ranks"]["worlds"][1]["schemes"][0]["factor"] = (3.0).hex()
    path = tmp_path / "triplet-default.json"
    path.write_text(json.dumps(document))
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert "triplet-default.json: ranks: worlds changed" in verify(tmp_path)
