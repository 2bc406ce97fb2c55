"""Run ``tests/cupy_stub`` in a process of its own: CuPy on a driver that launches nothing, where both can be had."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "cupy_stub"


def test_cupy_on_a_stub_driver():
    spec = spec_from_file_location("stub", FOLDER / "stub.py")
    stub = module_from_spec(spec)
    spec.loader.exec_module(stub)
    if stub.missing():
        pytest.skip(stub.missing())
    environment = {**os.environ, "CUPY_ON_STUB": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", str(FOLDER)]
    ran = subprocess.run(command, env=environment, cwd=FOLDER.parent.parent, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
