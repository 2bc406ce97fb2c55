"""Tests of CuPy's own rules, without a GPU; ``tests/test_on_cupy_stub.py`` runs them in a process of their own."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode puts no test folder there
# A process that has the stub under CuPy has it for good, and its GPUs compute nothing.
collect_ignore_glob = ["test_*.py"]
if os.environ.get("CUPY_ON_STUB"):
    import stub

    stub.start()
    collect_ignore_glob = []


@pytest.fixture
def backend():
    from mini_repr.backend import get_backend

    return get_backend("gpu")
