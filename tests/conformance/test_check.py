"""`check` on NumPy implementations: the faithful pass, the altered are named, the unusable get one line and code 2."""

import importlib.util
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.conformance import assert_matches
from mini_repr.conformance.cases import cases_for
from mini_repr.conformance.check import check
from mini_repr.conformance.compare import allowed_errors, compare, expected_outcome
from mini_repr.conformance.user_code import Target, Unusable, framework_of
from mini_repr.pages.names import find_loss
from mini_repr.pages.registry import all_losses

HERE = Path(__file__).parent
NUMPY = HERE / "faithful_numpy.py"
FAITHFUL = [
    ("infonce", "infonce", None),
    ("nt_xent", "infonce", "nt_xent"),
    *((name, name, None) for name in ("siglip", "vicreg", "barlow_twins", "uniformity", "align_uniform", "supcon")),
    *((name, name, None) for name in ("triplet", "cross_entropy", "sparsemax", "negative_cosine", "dispersive")),
    ("masked_regression", "masked_regression", None),
]
VALUES_ONLY = ("nt_xent", "barlow_twins", "uniformity", "align_uniform", "supcon", "triplet", "dispersive")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_line(text):
    """A text that was folded to the width, unfolded."""
    return " ".join(text.split())


@pytest.fixture
def run():
    def invoke(*args):
        return CliRunner().invoke(main, ["check", *map(str, args)])

    return invoke


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a module, which may import the faithful ones, and give the text that names one of its functions."""
    monkeypatch.syspath_prepend(HERE)

    def write(code, name="loss"):
        path = tmp_path / "theirs.py"
        path.write_text(f"import numpy as np\n{code}")
        return f"{path}:{name}"

    return write


# --- faithful implementations ---


@pytest.mark.parametrize("function, loss, variant", FAITHFUL)
def test_faithful_numpy_passes_and_no_slip_is_named(function, loss, variant):
    report = check(f"{NUMPY}:{function}", loss, variant=variant)
    assert report.exit_code == 0, report.text()
    assert report.explanation is None
    assert len(report.rows) >= 20
    compared = {part for row in report.rows if row.comparison for part in row.comparison.errors}
    assert ("value" in compared) and (len(compared) == 1) == (function in VALUES_ONLY)


def test_the_faithful_cover_at_least_twelve_losses():
    assert len({loss for _, loss, _ in FAITHFUL}) >= 12


@pytest.mark.parametrize("name", all_losses())
def test_each_page_conforms_to_itself_under_each_variant(name):
    """The page as a user's NumPy function: whatever case or tolerance refuses it would refuse anyone."""
    loss = all_losses()[name]
    for variant in [None, *loss.variants]:
        settings = dict(loss.variants[variant].settings) if variant else {}
        needs = loss.variants[variant].needs if variant else ()
        names = [p.name for p in loss.arrays if not p.annotation.optional or p.name in needs]
        learned = [p.name for p in loss.settings if p.annotation.differentiable and p.name not in settings]

        def page(*arrays, names=names, learned=learned, settings=settings, **numbers):
            given = dict(zip([*names, *learned], arrays, strict=True))
            return loss.value_and_grad(**{**settings, **given, **numbers})

        parameters = ", ".join([*names, *learned])
        namespace = {"page": page}
        exec(f"def faithful({parameters}): return page({parameters})", namespace)
        report = check(Target.of(namespace["faithful"]), name, variant=variant, framework="numpy")
        assert report.exit_code == 0, report.text()


# --- what is named ---


def test_names_a_variant_with_its_settings(written):
    target = written(
        "from scipy.special import logsumexp\n"
        "def loss(x, y, temperature):\n"
        "    x, y = (r / np.linalg.norm(r, axis=1, keepdims=True) for r in (x, y))\n"
        "    logits = x @ y.T / temperature\n"
        "    return (logsumexp(logits, axis=1) - np.diag(logits)).sum()\n"
    )
    report = check(target, "infonce")
    assert report.exit_code == 1
    assert report.explanation.settings == {"symmetric": False, "reduction": "sum"}
    assert "equals infonce(symmetric=False, reduction='sum')" in report.verdict
    smallest = report.smallest_failing
    assert "ordinary" in smallest.case.flags or "sizes" in smallest.case.flags


def test_names_a_number_that_the_callable_holds(written):
    target = written(
        "import faithful_numpy\ndef loss(a, b, tau=0.3):\n    return faithful_numpy.infonce(a, b, tau)[0]\n"
    )
    report = check(target, "infonce")
    assert report.explanation.settings == {"temperature": 0.3}
    assert any("tau=0.3" in note for note in report.notes)
    assert check(target, "infonce", mapping={"temperature": "tau"}).exit_code == 0
    assert check(target, "infonce", settings={"temperature": 0.3}).exit_code == 0


@pytest.mark.parametrize(
    "change, words",
    [
        ("0.37 * v, {n: 0.37 * x for n, x in g.items()}", "value and gradient are 0.37 times those of"),
        ("v, {n: 2 * x for n, x in g.items()}", "its gradient is 2 times the right one"),
        ("v, {**g, 'b': 0 * g['b']}", "no gradient reaches b"),
        ("v, {**g, 'a': -g['a']}", "the gradient of a is -1 times the right one"),
        ("v + 1, g", "value is 1 more than"),
        ("v * len(a), {n: len(a) * x for n, x in g.items()}", "equals infonce(reduction='sum')"),
        ("v / (2 * len(a) - 2), {n: x / (2 * len(a) - 2) for n, x in g.items()}", "1/(2(B-1)) times"),
    ],
)
def test_names_factors_offsets_and_gradient_slips(written, change, words):
    target = written(
        "import faithful_numpy\n"
        "def loss(a, b, temperature):\n"
        "    v, g = faithful_numpy.infonce(a, b, temperature)\n"
        f"    return {change}\n"
    )
    report = check(target, "infonce")
    assert report.exit_code == 1
    assert words in report.verdict


def test_a_gradient_that_is_a_little_off_has_no_name(written):
    target = written(
        "from mini_repr.losses import uniformity\n"
        "def loss(z, t):\n"
        "    value, gradients = uniformity.value_and_grad(z, t)\n"
        "    return value, {n: x + 1e-6 for n, x in gradients.items()}\n"
    )
    assert "no known variant or slip fits" in check(target, "uniformity").verdict


def test_a_case_can_be_pasted(written):
    target = written("def loss(z):\n    return (z * z * z).sum()\n")
    report = check(target, "uniformity")
    assert "no known variant or slip fits" in report.verdict
    code = report.text().split("The smallest failing case:\n")[1]
    pasted = {}
    exec(f"import numpy as np\n{code}", pasted)
    row = report.smallest_failing
    np.testing.assert_array_equal(pasted["z"], row.case.arguments["z"])
    assert f"got {float((pasted['z'] ** 3).sum()):.15g}" in code


def test_numbers_go_to_parameters_and_constants_too(written, run):
    target = written(
        "import faithful_numpy\n"
        "def loss(z_j, z_i, tau, times):\n"
        "    return times * faithful_numpy.infonce(z_i, z_j, tau)[0]\n"
    )
    mapping = "a=z_i,b=z_j,temperature=tau"
    good = run(target, "--against", "infonce", "--map", mapping, "--set", "times=1")
    assert good.exit_code == 0, good.output
    assert run(target, "--against", "infonce", "--map", mapping, "--const", "times=2").exit_code == 1
    missing = run(target, "--against", "infonce", "--map", mapping)
    assert missing.exit_code == 2 and "'times' has no counterpart" in missing.stderr


def test_exit_code_3_says_where(written, run):
    target = written(
        "import faithful_numpy\n"
        "def loss(a, b, temperature):\n"
        "    for x in (a, b):\n"
        "        if not x.any(axis=1).all(): return np.nan\n"
        "    return faithful_numpy.infonce(a, b, temperature)\n"
    )
    result = run(target, "--against", "infonce")
    assert result.exit_code == 3, result.output
    assert (
        "conforms to infonce, except at the end of what is defined: "
        "zero-row (value not finite), zero-rows (value not finite)." in one_line(result.output)
    )


def test_a_gradient_that_is_not_finite_counts_even_where_gradients_are_not_judged(written):
    target = written(
        "import faithful_numpy\n"
        "def loss(a, b, temperature):\n"
        "    v, g = faithful_numpy.infonce(a, b, temperature)\n"
        "    return v, {**g, 'a': g['a'] / a.any(axis=1, keepdims=True)}\n"
    )
    report = check(target, "infonce")
    assert report.exit_code == 3
    assert "zero-row (gradient not finite), zero-rows (gradient not finite)" in report.verdict
    assert "gradient of a[0]: got [ inf, -inf, -inf, -inf, -inf], expected [" in report.text()


def test_json_holds_the_table_and_the_verdict(run):
    result = run(f"{NUMPY}:infonce", "--against", "infonce", "--json")
    report = json.loads(result.output)
    assert result.exit_code == report["exit_code"] == 0
    ordinary = next(case for case in report["cases"] if case["case"] == "ordinary")
    assert set(ordinary["errors"]) == {"value", "grad a", "grad b", "grad temperature"}
    assert all(ordinary["errors"][part] <= ordinary["allowed"][part] for part in ordinary["errors"])


# --- tolerances ---


@pytest.mark.parametrize("name", all_losses())
def test_tolerances_forgive_rounding_and_nothing_else(name):
    """In float64 an ordinary case allows less than 1e-11: an error of a millionth stands out in every part."""
    loss = all_losses()[name]
    case = cases_for(loss)[0]
    arguments = loss.complete(case.arguments)
    exact = expected_outcome(loss, arguments)
    allowed = allowed_errors(loss, arguments, exact, np.float64)
    right = compare(exact, exact, allowed)
    assert right.agrees and max(right.allowed.values()) < 1e-11
    for part in right.errors:
        wrong = exact._replace(value=exact.value * (1 + 1e-6))
        if part != "value":
            gradients = {n: g * (1 + 1e-6 * (f"grad {n}" == part)) for n, g in exact.gradients.items()}
            wrong = exact._replace(gradients=gradients)
        assert not compare(exact, wrong, allowed).nearly_agrees


@pytest.mark.parametrize("name", all_losses())
def test_code_that_returns_nan_gets_its_table_and_code_1(name, written):
    """Whatever the loss; a NaN on ordinary rows is an answer, and a wrong one."""
    loss = all_losses()[name]
    arrays = ", ".join(p.name for p in loss.arrays if not p.annotation.optional)
    report = check(written(f"def loss({arrays}):\n    return np.nan\n"), name)
    assert report.exit_code == 1
    text = report.text()
    assert re.search(r"^ordinary +inf +VALUE NOT FINITE", text, flags=re.MULTILINE)
    assert f"does not conform to {name}: its value is not finite on ordinary rows." in one_line(text)
    assert "# value: got nan, expected" in text
    json.dumps(report.document(), allow_nan=False)


def test_nan_on_the_command_line_and_on_ranks(run, written):
    result = run(written("def loss(a, b):\n    return float('nan')\n"), "--against", "infonce")
    assert result.exit_code == 1 and result.stderr == "" and "Verdict: does not conform" in result.stdout
    target = written("def loss(a, b, all_a, all_b, rank):\n    return np.nan\n")
    assert run(target, "--against", "infonce", "--ranks", 2).exit_code == 1


def test_float32_results_are_judged_as_float32(written):
    target = written(
        "import faithful_numpy\n"
        "def loss(a, b, temperature):\n"
        "    value, _ = faithful_numpy.infonce(a.astype(np.float32), b.astype(np.float32), np.float32(temperature))\n"
        "    return np.float32(value)\n"
    )
    report = check(target, "infonce", values_only=True)
    assert all(row.verdict == "ok" for row in report.rows if "ordinary" in row.case.flags), report.text()
    assert any("Computes in float32" in note for note in report.notes)


# --- what cannot be checked: one line, exit code 2 ---

BAD_CODE = [
    (
        "def loss(a, b):\n    raise RuntimeError('no\\nluck')\n",
        "raised RuntimeError: no luck; it was given a: float64 (6, 5), b: float64 (6, 5); --map, --views,",
    ),
    ("def loss(a, b):\n    return a\n", "of shape (6, 5), expected one number"),
    ("def loss(a, b):\n    return 'text'\n", "returned a str, expected a number"),
    ("def loss(a, b):\n    return None\n", "returned a NoneType, expected a number"),
    ("def loss(a):\n    raise ValueError(a)\n", "takes 1 positional argument, expected 2: infonce compares a, b"),
    ("def loss(a, b, c):\n    return a.sum()\n", "its parameter 'c' has no counterpart"),
    ("def loss(a, b):\n    return a.sum(), {'a': a[0]}\n", "its gradient of a has shape (5,), expected (6, 5)"),
    ("def loss(a, b):\n    return a.sum(), {'c': a}\n", "returned a gradient of 'c'"),
    ("def loss(a, b):\n    return a.sum(), 3.0\n", "expected one gradient for each of a, b"),
    ("loss = 3\n", "is a int, expected a function"),
    ("class loss:\n    def __init__(self, x):\n        pass\n", "name an instance instead"),
    ("1 / 0\n", "the import failed: ZeroDivisionError"),
    ("def less(a, b):\n    return 0.0\n", "has no 'loss'; did you mean 'less'?"),
    ("import math\nfrom numpy import roll\n\ndef mine(a, b):\n    return 0.0\n", "has no 'loss'; known: mine\n"),
]


@pytest.mark.parametrize("code, words", BAD_CODE, ids=[words for _, words in BAD_CODE])
def test_unusable_code_gives_one_line_and_code_2(written, run, code, words):
    result = run(written(code), "--against", "infonce")
    refused(result, words)


def refused(result, words):
    assert result.exit_code == 2, result.output
    assert not result.stdout
    assert words in result.stderr and result.stderr.strip().startswith(("Error: ", "Usage: "))
    assert len(result.stderr.strip().splitlines()) == 1 or result.stderr.startswith("Usage: ")


GOOD = f"{NUMPY}:infonce"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nothing.py:f", "--against", "infonce"], "nothing.py: no such file"),
        (["no_such_module:f", "--against", "infonce"], "no_such_module: the import failed: ModuleNotFoundError"),
        (["infonce", "--against", "infonce"], "expected path/to/file.py:NAME or package.module:NAME"),
        ([GOOD], "expected TARGET --against LOSS"),
        ([GOOD, "--against", "infonze"], "did you mean 'infonce'?"),
        ([GOOD, "--against", "infonce", "--variant", "nt_xnt"], "did you mean 'nt_xent'?"),
        ([GOOD, "--against", "infonce", "--set", "temperature=-1"], "infonce: temperature: got -1, expected a number"),
        ([GOOD, "--against", "infonce", "--set", "temperature"], "--set temperature: expected NAME=VALUE"),
        ([GOOD, "--against", "infonce", "--set", "tempature=1"], "has no parameter 'tempature'; did you mean"),
        ([GOOD, "--against", "infonce", "--map", "c=a"], "--map c=a: infonce has no 'c'"),
        ([GOOD, "--against", "infonce", "--map", "a=z"], "--map a=z: "),
        ([GOOD, "--against", "infonce", "--map", "a"], "--map a: expected ARGUMENT=YOURS"),
        ([GOOD, "--against", "infonce", "--framework", "tensorflow"], "--framework tensorflow: expected one of"),
        ([GOOD, "--against", "infonce", "--ranks", "1"], "'--ranks': 1 is not in the range"),
        ([GOOD, "--against", "infonce", "--ranks", "1000"], "'--ranks': 1000 is not in the range"),
        ([GOOD, "--against", "infonce", "--detached", "q"], "--detached q: infonce has no 'q'"),
        (["no.npz", "--against", "infonce"], "no.npz: no such file"),
        (["no.npz", "--against", "infonce", "--map", "a=z"], "--map: not with a file of results; leave it out"),
        ([GOOD, "--against", "infonce", "--ranks", "2", "-q"], "--quiet: not with --ranks; leave it out"),
        (["--against", "infonce", "--ranks", "2", "--json"], "--json: not with --ranks without TARGET"),
        (["--mutants", "--against", "infonce", "--json"], "--json: not with --mutants; leave it out"),
    ],
)
def test_wrong_use_gives_one_line_and_code_2(run, arguments, words):
    refused(run(*arguments), words)


def test_a_callable_that_fails_only_later_does_not_conform(written):
    target = written(
        "import faithful_numpy\n"
        "def loss(a, b, temperature):\n"
        "    if len(a) == 13: raise IndexError('thirteen')\n"
        "    return faithful_numpy.infonce(a, b, temperature)\n"
    )
    report = check(target, "infonce")
    assert report.exit_code == 1
    (row,) = [row for row in report.rows if row.bad]
    assert row.case.id == "tall" and row.note.startswith("IndexError: thirteen; it was given")


# --- frameworks, without having them ---


@pytest.mark.parametrize(
    "code, framework",
    [
        ("def loss(a: 'torch.Tensor', b): return a", "torch"),
        ("def loss(a: 'jax.Array', b): return a", "jax"),
        ("def loss(a: np.ndarray, b): return a", "numpy"),
        ("def loss(a, b): return np.sum(a)", "numpy"),
        ("import types\ntorch = types.ModuleType('torch')\ndef loss(a, b): return torch.sum(a)", "torch"),
        ("import types\njnp = types.ModuleType('jax.numpy')\ndef loss(a, b): return jnp.sum(a)", "jax"),
    ],
)
def test_the_framework_is_seen_from_the_code(written, code, framework):
    assert framework_of(Target.load(written(code))) == framework


def test_two_frameworks_ask_for_the_flag(written):
    code = (
        "import types\ntorch, jax = types.ModuleType('torch'), types.ModuleType('jax')\n"
        "def loss(a, b): return torch.sum(jax.f(a))"
    )
    with pytest.raises(Unusable, match="uses torch and jax; say which"):
        framework_of(Target.load(written(code)))


# --- file mode ---


def results_of(loss, change=lambda value, gradients: (value, gradients), **settings):
    """What a user's file holds for the battery."""
    arrays = {}
    for case in cases_for(loss, settings):
        if case.result == "valid" and case.dtype == "float64":
            exact = expected_outcome(loss, loss.complete(case.arguments))
            value, gradients = change(exact.value, exact.gradients)
            arrays[f"{case.id}/value"] = np.array(value)
            arrays.update({f"{case.id}/grad_{n}": g for n, g in gradients.items()})
    return arrays


def test_file_mode(run, tmp_path):
    loss = all_losses()["infonce"]
    path = tmp_path / "results.npz"
    good = results_of(loss)
    np.savez(path, **good)
    result = run(path, "--against", "infonce")
    assert result.exit_code == 0, result.output
    assert "not in the file" not in result.output
    np.savez(path, **{key: array for key, array in good.items() if not key.startswith("tall/")})
    result = run(path, "--against", "infonce")
    assert result.exit_code == 0 and "1 cases are not in the file: tall." in result.output

    np.savez(path, **results_of(loss, lambda v, g: (v, {n: 2 * x for n, x in g.items()})))
    result = run(path, "--against", "infonce")
    assert result.exit_code == 1 and "its gradient is 2 times the right one" in one_line(result.output)

    np.savez(path, **results_of(loss, negatives="views"))
    result = run(path, "--against", "infonce")
    assert result.exit_code == 1 and "equals infonce(negatives='views')" in one_line(result.output)
    assert run(path, "--against", "infonce", "--variant", "nt_xent").exit_code == 0

    for changed, words in [
        ({"ordinry/value": 1.0}, "'ordinry/value' names no case of infonce; did you mean 'ordinary'?"),
        ({"ordinary/gradient": np.ones(2)}, "expected ordinary/ and one of value, grad_a, grad_b, grad_temperature"),
        ({"ordinary/grad_a": np.ones((2, 2))}, "ordinary/grad_a: got shape (2, 2), expected (6, 5)"),
        ({"ordinary/value": np.ones(3)}, "ordinary/value: expected one number"),
    ]:
        np.savez(path, **{**good, **changed})
        refused(run(path, "--against", "infonce"), words)


# --- the pytest face ---


def test_assert_matches():
    faithful = load(NUMPY)
    assert_matches(faithful.infonce, "infonce", framework="numpy")
    assert_matches(faithful.nt_xent, "infonce", negatives="views")
    with pytest.raises(AssertionError) as caught:
        assert_matches(faithful.nt_xent, "infonce")
    message = str(caught.value)
    assert "does not conform to infonce: equals infonce(negatives='views')" in one_line(message)
    assert "The smallest failing case:" in message and "np.array(" in message
    with pytest.raises(Unusable, match="no parameter"):
        assert_matches(faithful.nt_xent, "infonce", no_such_setting=1)


def test_the_command_line_starts_without_the_heavy_modules():
    import subprocess
    import sys

    code = "import sys, mini_repr.cli; print([m for m in ('numpy', 'torch', 'jax', 'scipy') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


# --- how much is printed, and where ---

DOUBLED = (
    "import faithful_numpy\n"
    "def loss(a, b, temperature):\n"
    "    value, gradients = faithful_numpy.infonce(a, b, temperature)\n"
    "    return 2 * value, {n: 2 * g for n, g in gradients.items()}\n"
)


def test_the_verdict_comes_first_and_every_case_only_with_v(written, run):
    faithful = written("from faithful_numpy import infonce as loss\n")
    plain, verbose = (run(faithful, "--against", "infonce", *more).stdout.splitlines() for more in ((), ("-v",)))
    assert plain[1].startswith("Verdict: conforms to infonce on ") and not any(" ok" in line for line in plain)
    assert sum(line.endswith(" ok") for line in verbose) > 20


def test_quiet_prints_the_verdict_alone(written, run):
    lines = run(written(DOUBLED), "--against", "infonce", "-q").stdout.splitlines()
    verdict = "Verdict: does not conform to infonce: value and gradient are 2 times those of infonce."
    assert one_line("\n".join(lines[1:])) == verdict
    assert all(len(line) <= 80 for line in lines[1:])


def test_junit_has_a_test_for_every_case(written, run, tmp_path):
    path = tmp_path / "check.xml"
    assert run(written(DOUBLED), "--against", "infonce", "--junit", str(path)).exit_code == 1
    (suite,) = ElementTree.parse(path).getroot()
    cases = cases_for(find_loss("infonce"))
    assert [case.get("name") for case in suite] == [c.id for c in cases if c.result != "error"]
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) > 20
    assert "2 times those of" in suite.find("testcase/failure").text


def test_mutants_prints_the_score_of_a_page(run):
    lines = run("--mutants", "--against", "flops").stdout.splitlines()
    assert lines[0].split() == ["page", "tried", "told", "apart", "same", "gaps"]
    name, tried, told_apart, same, gaps = lines[1].split()
    assert name == "flops" and int(tried) == int(told_apart) + int(same) + int(gaps) and int(told_apart) > 50


def test_github_shows_the_verdict_beside_the_code(written, run, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert "::" not in run(written(DOUBLED), "--against", "infonce").stderr
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    line = run(written(DOUBLED), "--against", "infonce").stderr
    assert line.startswith("::error file=") and "theirs.py,title=mini-repr check::" in line
    assert len(line.splitlines()) == 1 and "2 times" in line
