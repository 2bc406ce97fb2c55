"""What type checkers and editors are told of the losses and metrics is what the declarations say."""

import ast
import inspect
import pydoc
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import mini_repr
from mini_repr import losses, metrics
from mini_repr.pages.declare import Function
from mini_repr.pages.registry import all_losses

ROOT = Path(__file__).parent.parent
PACKAGE = Path(mini_repr.__file__).parent
STUBS = runpy.run_path(str(ROOT / "scripts" / "stubs.py"))["stubs"]()
USES = """
import numpy as np
from mini_repr import RepresentationLearner, load_run
from mini_repr.losses import infonce
from mini_repr.metrics import uniformity

a = np.zeros((4, 3))
value, gradients = infonce.value_and_grad(a, a, temperature=0.1, negatives="views")
infonce(a, b=a).backward()
uniformity(a, t=2.0)
RepresentationLearner("infonce", epochs=1).fit(a).run_.embed(a)
load_run("runs/one", device="cpu").embed(a, tower="a")
"""
MISUSES = {
    'infonce(a, a, negatives="view")': "arg-type",
    "infonce(a, a, temprature=0.1)": "call-arg",
    "infonce.value_and_grad(a)": "call-arg",
    "uniformity(a, 2.0, normalise=True)": "call-arg",
    'RepresentationLearner("infonce", epoch=1)': "call-arg",
    'load_run("runs/one", gpu=True)': "call-arg",
}


@pytest.mark.parametrize("path", STUBS, ids=lambda path: path.parent.name)
def test_the_stub_is_what_the_declarations_say(path):
    assert path.read_text(encoding="utf-8") == STUBS[path], "run python scripts/stubs.py"


def test_every_name_has_its_signature():
    known = {
        path.parent.name: {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}
        for path, text in STUBS.items()
    }
    public = {name for name, one in vars(metrics).items() if not inspect.ismodule(one) and not name.startswith("_")}
    assert set(known["metrics"]) == public
    for name, page in all_losses().items():
        arguments = [a.arg for a in known["losses"][name].args.args]
        assert arguments == list(inspect.signature(page).parameters) and getattr(losses, name) is page
    assert all(isinstance(getattr(metrics, name), Function) for name in public)


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_help_shows_the_signature():
    shown = pydoc.plain(pydoc.render_doc(losses.infonce))
    assert "infonce(a, b, temperature=0.1, queue=None, hard_negatives=None, negatives='batch'," in shown
    assert "tell each row's partner from every other row" in shown


def test_a_type_checker_tells_right_from_wrong(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    lines = [*USES.splitlines(), *MISUSES]
    (tmp_path / "uses.py").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--show-error-codes", "uses.py"]
    environment = {"MYPYPATH": str(ROOT), "PATH": ""}
    output = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    found = [
        (line.split(":")[1], line.rpartition("[")[2].rstrip("]")) for line in output.splitlines() if "error:" in line
    ]
    wanted = [(str(len(USES.splitlines()) + k), code) for k, code in enumerate(MISUSES.values(), 1)]
    assert found == wanted, output
