"""Compile CUDA texts by NVIDIA's compiler: [[text, options], ...] as JSON in, a list of what it says out.

A process without the stub, which the compiler does not survive.
"""

import json
import sys

from cuda.bindings import nvrtc


def compiler_says(text, options):
    _, programme = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    nvrtc.nvrtcCompileProgram(programme, len(options), [option.encode() for option in options])
    _, size = nvrtc.nvrtcGetProgramLogSize(programme)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(programme, log)
    return log.decode().strip("\0 \n")


json.dump([compiler_says(*one) for one in json.load(sys.stdin)], sys.stdout)
