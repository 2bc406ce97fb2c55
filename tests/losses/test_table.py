"""The table-driven test: every check of every registered loss, see ``mini_repr/pages/check_page.py``.

A new loss is covered as soon as its page is registered. It brings its invariants on the page, and its naive loops in
``tests/losses/<folder>/test_<name>.py`` as a function ``loops(**arguments)`` that returns a Python float.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mini_repr.pages.check_page import checks_of
from mini_repr.pages.registry import all_losses


def loops_of(loss):
    """The loops of a loss, read from its test file when they are called."""

    def loops(**arguments):
        path = Path(__file__).parent / loss.compares / f"test_{loss.name}.py"
        assert path.exists(), f"{loss.name} has no {path.relative_to(Path(__file__).parent)} with loops(**arguments)"
        spec = importlib.util.spec_from_file_location(f"loops_of_{loss.name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.loops(**arguments)

    return loops


CHECKS = [
    pytest.param(check, id=f"{name}-{what}")
    for name, loss in all_losses().items()
    for what, check in checks_of(loss, loops_of(loss)).items()
]


@pytest.mark.parametrize("check", CHECKS)
def test_page(check):
    check()


def test_value_and_grad_refuses_a_result_beyond_the_dtype():
    cip, rows, labels = all_losses()["cip"], np.full((3, 2), 1e25, dtype=np.float32), np.array([0, 0, 1])
    with np.errstate(all="ignore"):
        with pytest.raises(ValueError, match=r"^cip: value: got a NaN or an infinity, expected .* float32$"):
            cip.value_and_grad(rows, labels)
        assert float(cip.value_and_grad(rows.astype(np.float64), labels)[0]) == pytest.approx(2e50)
