"""``scripts/gpu.py`` where there is no GPU: each part says so in one line, and the next has its turn."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from mini_repr.backend import DeviceError, get_backend

SCRIPT = Path(__file__).parent.parent / "scripts" / "gpu.py"


@pytest.fixture
def script():
    spec = spec_from_file_location("gpu_script", SCRIPT)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_limits_together_are_ten_minutes_at_most(script):
    assert sum(part.limit for part in script.PARTS.values()) <= 600


def test_a_part_is_stopped_at_its_limit_with_what_it_started(script):
    script.PARTS["tests"] = script.Part(script.tests, 0.5)
    script.DEVICE, lines = "cpu", []
    script.run_apart("tests", lambda line: lines.append(json.loads(line)))
    assert [one.get("failed") for one in lines] == ["stopped at its limit of 0.5 s", None] and lines[-1]["code"] == -9


def test_one_result_that_fails_leaves_the_next(script):
    assert script.tried({"of": 1}, lambda x: {"is": x}, 2) == {"of": 1, "is": 2}
    assert script.tried({"of": 1}, lambda: 1 / 0) == {"of": 1, "failed": "ZeroDivisionError: division by zero"}


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_a_part_that_fails_does_not_stop_the_next(tmp_path):
    try:
        get_backend("gpu")
    except DeviceError:
        pass
    else:
        pytest.skip("there is a GPU")
    ran = run("--only", "platform,kernels", "--out", tmp_path / "lines")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["part"] for one in lines] == ["platform", "platform", "kernels", "kernels"]
    assert all("DeviceError: device gpu" in one["failed"] for one in lines[::2]) and ran.returncode == 0
    assert all(one["code"] == 0 and one["seconds"] > 0 for one in lines[1::2])
    assert (tmp_path / "lines").read_text() == ran.stdout


def test_on_the_host_both_forms_are_one():
    lines = [json.loads(line) for line in run("--device", "cpu", "--only", "kernels").stdout.splitlines()]
    assert len(lines) > 60 and all(one["units"] == 0 for one in lines[:-1])


def test_an_unknown_part_is_named():
    ran = run("--only", "platform,dreams")
    assert ran.returncode == 2 and "no part dreams; there are platform, kernels" in ran.stderr
