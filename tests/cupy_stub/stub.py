"""CuPy on a stub driver (driver.c): its Python, type rules, keywords, shapes, launches and waits are real, values not.

``start()`` before the first ``import cupy`` of a process; x86-64 Linux, gcc, and the wheel of CuPy. Libraries
beside the driver (cuBLAS) answer every call with success; linear algebra, sorting, ``unique`` and compiling are
replaced a level higher, in Python. ``sources()`` has what CuPy would have compiled.
"""

import ctypes
import glob
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
# What cuBLAS answers through a pointer, by the place of the pointer among the arguments; others answer nothing.
_ANSWERS = {"Create_v2": 0, "GetVersion_v2": 1, "GetPointerMode_v2": 1, "GetMathMode": 1, "GetStream_v2": 1}
_SETTINGS = ("Create", "Destroy", "Get", "Set")

_driver = None
_python_calls = Counter()
_sources = []


def missing():
    """Why the stub cannot run here, as one line; None where it can."""
    if find_spec("cupy") is None:
        return "no CuPy: pip install cupy-cuda13x"
    for tool in ("gcc", "nm"):
        if shutil.which(tool) is None:
            return f"no {tool}"
    return None if os.uname().machine == "x86_64" else "the stub driver knows x86-64 alone"


def start():
    """Put the stub under CuPy, for the rest of the process."""
    global _driver
    os.environ["CUPY_CI"] = "1"  # CuPy then does not look for NVIDIA's libraries: ours are loaded already
    os.environ["CUPY_ACCELERATORS"] = ""
    packages = Path(sysconfig.get_paths()["platlib"]) / "cupy_backends" / "cuda"
    with tempfile.TemporaryDirectory() as folder:
        _driver = _build(folder, "libcuda.so.1", HERE / "driver.c")
        for module in glob.glob(str(packages / "libs" / "*.so")):
            for library, functions in _needed(module).items():
                text = "\n".join(map(_function, functions))
                source = Path(folder) / f"{library}.c"
                source.write_text(f"void stub_count(const char *kind, const char *what);\n{text}\n")
                _build(folder, library, source)
    _redirect(glob.glob(str(packages / "api" / "runtime*.so"))[0])
    _replace_what_needs_kernels()


def _build(folder, name, source):
    path, versions = f"{folder}/{name}", Path(folder) / "versions"
    versions.write_text(f"{name} {{ global: *; }};")  # the loader asks for symbols by this version
    link = ["-shared", "-fPIC", f"-Wl,-soname,{name}", f"-Wl,--version-script={versions}"]
    subprocess.run(["gcc", "-w", *link, "-o", path, source], check=True)
    return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def _needed(module):
    """{NVIDIA's library: its functions} that an extension module of CuPy is linked to."""
    symbols = subprocess.run(
        ["nm", "-D", "--undefined-only", module], check=True, capture_output=True, text=True
    ).stdout
    found = {}
    for function, library in re.findall(r"U (cu\w+)@(lib\w+\.so\.\d+)", symbols):
        found.setdefault(library, []).append(function)
    return found


def _symbols(*arguments):
    return subprocess.run(["nm", *arguments], check=True, capture_output=True, text=True).stdout


def _function(name):
    """C text of a library function that counts its calls and succeeds."""
    short = name.removeprefix("cublas")
    answer = f"*arguments[{_ANSWERS[short]}] = 0;" if short in _ANSWERS else ""
    count = "" if short.startswith(_SETTINGS) else f'stub_count("library", "{name}");'
    places = ", ".join(f"int *a{i}" for i in range(2))
    return f"int {name}({places}) {{ int *arguments[] = {{a0, a1}}; {answer} {count} return 0; }}"


def _redirect(module):
    """Send every function of the CUDA runtime inside an extension module to the driver's, by a jump at its start."""
    ctypes.PyDLL(module)
    start = next(
        int(line.split("-")[0], 16)
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(os.path.realpath(module)) and line.split()[2] == "00000000"
    )
    libc, page = ctypes.CDLL(None, use_errno=True), os.sysconf("SC_PAGESIZE")
    for offset, name in re.findall(r"^(\w+) [tT] cuda([A-Z]\w+)$", _symbols(module), re.MULTILINE):
        address = start + int(offset, 16)
        first = address // page * page
        everything = 7  # read, write, execute
        if libc.mprotect(ctypes.c_void_p(first), ctypes.c_size_t(2 * page), everything):
            raise OSError(ctypes.get_errno(), "mprotect")
        ours = getattr(_driver, f"stub_{re.sub('(_ptsz|_ptds|_v[23])+$', '', name)}", _driver.stub_nothing)
        target = ctypes.cast(ours, ctypes.c_void_p).value
        jump = b"\x48\xb8" + target.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, target; jmp rax
        ctypes.memmove(address, jump, len(jump))


def _replace_what_needs_kernels():
    import cupy
    import numpy
    from cupy._core import _routines_sorting
    from cupy.cuda import compiler, function

    def compile_nothing(source, options=(), **_):
        _sources.append((source, options))
        module = function.Module()
        module.load(b"\0" * 16)
        return module

    compiler._compile_module_with_cache = compile_nothing
    cupy.cuda.set_allocator(None)  # memory that was used before would not be zeros

    def counted(name, answer=lambda *args, **params: None):
        def call(*args, **params):
            _python_calls[f"library {name}"] += 1
            return answer(*args, **params)

        return call

    thrust = SimpleNamespace(
        available=True, sort=counted("sort"), argsort=counted("argsort"), lexsort=counted("lexsort")
    )
    _routines_sorting.thrust = cupy.cuda.thrust = thrust

    def unique(array, return_inverse=False, return_counts=False):
        found = numpy.unique(array.get(), return_inverse=return_inverse, return_counts=return_counts)
        return tuple(map(cupy.asarray, found)) if isinstance(found, tuple) else cupy.asarray(found)

    cupy.unique = counted("unique", unique)

    like = cupy.zeros_like

    def values_of(matrix):
        _on_device(matrix)
        return cupy.zeros(matrix.shape[:-1], matrix.dtype)

    def number_of(matrix):
        _on_device(matrix)
        return cupy.zeros(matrix.shape[:-2], matrix.dtype)

    def _on_device(*arrays):
        for array in arrays:
            if not isinstance(array, cupy.ndarray):
                raise TypeError(f"linalg: got {type(array)}, expected a CuPy array")

    def svd(matrix, full_matrices=True, compute_uv=True):
        _on_device(matrix)
        *stack, rows, columns = matrix.shape
        least = min(rows, columns)
        values = cupy.zeros((*stack, least), matrix.dtype)
        if not compute_uv:
            return values
        left, right = (rows, columns) if full_matrices else (least, least)
        return (
            cupy.zeros((*stack, rows, left), matrix.dtype),
            values,
            cupy.zeros((*stack, right, columns), matrix.dtype),
        )

    def pinv(matrix):
        _on_device(matrix)
        *stack, rows, columns = matrix.shape
        return cupy.zeros((*stack, columns, rows), matrix.dtype)

    answers = {
        "cholesky": lambda matrix: like(matrix),
        "inv": lambda matrix: like(matrix),
        "eigh": lambda matrix, UPLO="L": (values_of(matrix), like(matrix)),
        "eigvalsh": lambda matrix, UPLO="L": values_of(matrix),
        "pinv": pinv,
        "svd": svd,
        "slogdet": lambda matrix: (number_of(matrix), number_of(matrix)),
        "solve": lambda matrix, right: (_on_device(matrix), like(right))[1],
    }
    for name, answer in answers.items():
        setattr(cupy.linalg, name, counted(f"linalg.{name}", answer))


def reset():
    """Forget all counts."""
    _driver.stub_reset()
    _python_calls.clear()


def counts():
    """{"kind what": how often} since ``reset``: kernels, library calls, fills, copies and waits."""
    name, times, found = ctypes.create_string_buffer(256), ctypes.c_long(), Counter(_python_calls)
    i = 0
    while _driver.stub_counter(i, name, ctypes.byref(times)):
        found[name.value.decode()] = times.value
        i += 1
    return found


def launches():
    """How many pieces of work were given to the device since ``reset``: kernels, library calls, fills, copies on it."""
    return sum(n for name, n in counts().items() if name.startswith(("kernel", "library", "fill", "copy on device")))


def waits():
    """How often the host waited for the device since ``reset``."""
    return sum(n for name, n in counts().items() if name.startswith("wait"))


@contextmanager
def answers(all, any, not_zero=False):
    """A block in which every truth value read from the device is ``all`` after a test of all elements, or else ``any``.

    ``any`` may be several answers, for one reading after the other; the last stays. ``not_zero``: a number that is 0 is
    read as the least above. Outside the block tests of all elements are True and others False: nothing is extreme or
    wrong.
    """
    in_turn = list(any) if isinstance(any, tuple) else [any]
    bits = sum(answer << place for place, answer in enumerate(in_turn)) - (in_turn[-1] << len(in_turn))
    read = [ctypes.c_int.in_dll(_driver, name) for name in ("stub_all", "stub_any", "stub_not_zero")]
    before = [one.value for one in read]
    read[0].value, read[1].value, read[2].value = all, bits, not_zero
    try:
        yield
    finally:
        for one, value in zip(read, before, strict=True):
            one.value = value


def sources():
    """(CUDA text, options) of all that CuPy would have compiled so far."""
    return list(_sources)
