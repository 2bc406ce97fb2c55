"""The parts of ``scripts/gpu.py`` that need no values and no other process, with CuPy's own rules."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from mini_repr.pages.registry import all_losses

LOSSES = all_losses()


@pytest.fixture(scope="module")
def script():
    spec = spec_from_file_location("gpu_script", Path(__file__).parent.parent.parent / "scripts" / "gpu.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SIZES = ((4, 32),)
    module.LARGE = {"infonce": (64, 8), "nearest_rows": (60, 8)}
    return module


@pytest.mark.parametrize("name", ["platform", "kernels", "step", "bandwidth", "large"])
def test_part_gives_lines(name, script):
    results = list(script.PARTS[name].function())
    assert len(results) >= 5 and all(json.loads(json.dumps(one)) for one in results)
    assert not [one for one in results if "failed" in one]


def test_each_loss_has_its_line(script):
    results = list(script.losses())
    stopped = {one["loss"] for one in results if "failed" in one}
    assert {one["loss"] for one in results} == LOSSES.keys()
    # Zeros are refused there; CuPy's own rules are in test_tables.
    assert all(re.match("ValueError|ZeroDivisionError", one["failed"]) for one in results if "failed" in one)
    assert len(stopped) < len(LOSSES) / 2
