"""What all tests share: what stands in ``helpers/`` can be imported, and ``gpu`` tests run only where a GPU is."""

import os
import sys
from functools import cache
from pathlib import Path

import pytest

# Workers side by side have a core each; NumPy reads this when it is first imported, which is below.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Commands fold what they print to the terminal; tests read it as where none is.
os.environ["COLUMNS"] = "80"

from mini_repr.backend import DeviceError, get_backend

sys.path.insert(0, str(Path(__file__).parent / "helpers"))  # importlib mode puts no test folder there


@cache
def why_no_gpu():
    """The reason why ``get_backend("gpu")`` fails here, None where it works."""
    try:
        get_backend("gpu")
    except DeviceError as error:
        return str(error)
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("gpu") and why_no_gpu():
            item.add_marker(pytest.mark.skip(reason=why_no_gpu()))


@pytest.fixture
def gpu():
    """The backend of the first GPU; for tests marked ``gpu``."""
    return get_backend("gpu")
