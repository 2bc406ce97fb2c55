"""Every CUDA text of the package, as CuPy wraps it, through NVIDIA's compiler for two generations of GPUs."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import stub
from fused_cases import cases

from mini_repr.backend import get_backend
from mini_repr.fused import KERNELS, sum_of_squares

if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
    pytest.skip("no compiler: pip install cuda-bindings nvidia-cuda-nvrtc", allow_module_level=True)


OVER_TABLES = ("adamw_update", "sgd_update", "momentum_update", "moving_average", "scale_by")


@pytest.fixture(scope="module")
def texts():
    """[(name of the kernel, text, options)] of all kernels that are the package's own, in every form and precision."""
    backend = get_backend("gpu")
    xp = backend.xp

    def moved(arguments):
        return [backend.asarray(x) if isinstance(x, np.ndarray) else x for x in arguments]

    for dtype in ("float32", "float64"):
        for name, arguments in cases(dtype):
            kernel = KERNELS[name]
            kernel.launch(xp, moved(arguments))
            if name in OVER_TABLES:
                numbers = list(kernel.reads.values()).count("number")
                kernel.launch_each(xp, [(arguments[:numbers], moved(arguments[numbers:]))])
        sum_of_squares(xp, [xp.ones(5, dtype), xp.ones((2, 3), dtype)])
        backend.scatter_add(xp.zeros((5, 3), dtype), xp.zeros(4, dtype=int), xp.ones((4, 3), dtype))
    # CuPy compiles a text once a process: tests before this one may have been the first.
    every = [(re.search(r"__global__ void (\w+)\(", text).group(1), text, options) for text, options in stub.sources()]
    return [one for one in every if not one[0].startswith("cupy_")]


def test_there_is_a_text_of_every_kernel_in_both_precisions(texts):
    own = KERNELS.keys() | {f"{name}_each" for name in OVER_TABLES} | {"sum_of_squares", "add_segments"}
    for c_type in ("float", "double"):
        assert {name for name, text, _ in texts if re.search(rf"typedef {c_type} T;|const {c_type} \*", text)} == own


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_all_compile(texts, architecture):
    logs = compiled([(text, options) for _, text, options in texts], architecture)
    wrong = {name: log for (name, _, _), log in zip(texts, logs, strict=True) if log}
    assert not wrong


def compiled(texts, architecture):
    """What the compiler says to each (text, options): nothing where all is well."""
    work = json.dumps([(text, [*options, f"--gpu-architecture={architecture}"]) for text, options in texts])
    command = [sys.executable, Path(__file__).parent / "compile.py"]
    return json.loads(subprocess.run(command, input=work, check=True, capture_output=True, text=True).stdout)


def test_the_compiler_refuses_what_is_wrong():
    (log,) = compiled([('extern "C" __global__ void f() { unknown; }', [])], "sm_90")
    assert 'identifier "unknown" is undefined' in log
