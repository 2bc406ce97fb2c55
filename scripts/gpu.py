"""What only a GPU can tell, in ten minutes at most: the most valuable parts first, one JSON line per result.

    python scripts/gpu.py                       every part
    python scripts/gpu.py --only kernels,step   some, in this order
    python scripts/gpu.py --out gpu.jsonl       into a file too, line by line as they come

Each part is a process of its own with a limit in seconds, all limits together under ten minutes: one that fails or
hangs says so and does not stop the next; within a part, neither does a single result that fails.
No network is needed; PyTorch is where it is installed. CuPy keeps the kernels that it compiles in CUPY_CACHE_DIR, so
that a second run starts warm. Without a GPU every part ends with one line that says so.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# Batch and width of the ViT (28 x 28 pixels, patches of 4, depth 4) whose step is timed.
SIZES = ((256, 128), (1024, 384))
LOSS_SHAPE = (8_192, 128)
LARGE = {"infonce": (65_536, 256), "nearest_rows": (60_000, 784)}
DEVICE = "gpu"


def gpu():
    from mini_repr.backend import get_backend

    return get_backend(DEVICE)


def seconds(backend, work, repetitions=20):
    """Of one call of ``work``, after two to warm up; the device is waited for at both ends."""
    for _ in range(2):
        work()
    backend.synchronize()
    started = time.perf_counter()
    for _ in range(repetitions):
        work()
    backend.synchronize()
    return (time.perf_counter() - started) / repetitions


def speed(backend, works):
    """{name: seconds of a call} of {name: function}."""
    return {name: seconds(backend, work) for name, work in works.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Right.


def platform():
    """Versions, and what CuPy does where NumPy does something else."""
    backend = gpu()
    xp = backend.xp
    with backend.singular_raises():
        yield {"cholesky of -I raises": raises(lambda: xp.linalg.cholesky(-xp.eye(3)))}
    yield {"cholesky of -I raises outside the block": raises(lambda: xp.linalg.cholesky(-xp.eye(3)))}
    runtime = xp.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    yield {
        "device": str(properties["name"]),
        "memory": properties["totalGlobalMem"],
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "cupy": xp.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }
    a, b = np.random.default_rng(0).standard_normal((2, 512, 512)).astype(np.float32)
    exact = a.astype(np.float64) @ b
    product = backend.to_numpy(backend.asarray(a) @ backend.asarray(b))
    yield {"error of a float32 product (above 1e-5: TF32)": float(abs(product - exact).max() / abs(exact).max())}
    yield {"index 5 of 3": backend.to_numpy(backend.asarray([10.0, 11.0, 12.0])[backend.asarray([5])]).tolist()}
    subnormal = backend.asarray(np.full(1, 1e-40, np.float32))
    yield {"a subnormal times 1 stays": bool((subnormal * np.float32(1) > 0).all())}


def raises(call):
    try:
        call()
    except np.linalg.LinAlgError:
        return True
    return False


def kernels():
    """Every CUDA form against its NumPy form, in units in the last place of the largest element."""
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from fused_cases import USED_UP, cases

    backend = gpu()
    for dtype in ("float32", "float64"):
        for name, arguments in cases(dtype):
            what = {"kernel": name, "dtype": dtype}
            yield tried(what, units_apart, backend, name, arguments, dtype, name in USED_UP)


def tried(what, work, *arguments):
    """``what`` with the dictionary that ``work`` gives; or with {"failed": ...}, so that the next has its turn."""
    try:
        return {**what, **work(*arguments)}
    except Exception as error:
        return {**what, "failed": f"{type(error).__name__}: {str(error)[-300:]}"}


def units_apart(backend, name, arguments, dtype, but_the_first):
    """How far both forms of a formula lie apart at host arguments, ``but_the_first`` of those that are written."""
    from mini_repr.backend import CPU
    from mini_repr.fused import KERNELS

    kernel = KERNELS[name]
    moved = [backend.asarray(np.copy(x)) if isinstance(x, np.ndarray) else x for x in arguments]
    kernel(backend, *moved)
    expected = [np.copy(x) if isinstance(x, np.ndarray) else x for x in arguments]
    with np.errstate(all="ignore"):
        kernel.form(CPU, *expected)
    pairs = list(zip(map(backend.to_numpy, moved[len(kernel.reads) :]), expected[len(kernel.reads) :], strict=True))
    return {"units": max(apart(*pair, dtype) for pair in pairs[but_the_first:])}


def apart(found, expected, dtype):
    """The largest difference, in units in the last place of the largest element."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if not np.array_equal(np.isfinite(found), np.isfinite(expected)):
        return float("inf")
    finite = np.isfinite(expected)
    size = max(abs(expected[finite]).max(initial=0), np.finfo(dtype).tiny)
    return float(abs(found[finite] - expected[finite]).max(initial=0) / size / np.finfo(dtype).eps)


def tests():
    """The tests marked gpu; at the part's limit they are interrupted, so that what has failed by then is named."""
    if find_spec("pytest") is None or find_spec("xdist") is None:
        yield {"tests": "pytest or pytest-xdist is not installed"}
        return
    workers = min(12, os.cpu_count())
    files = [str(path) for path in ROOT.glob("tests/**/test_*.py") if "mark.gpu" in path.read_text(encoding="utf-8")]
    options = [*files, "-m", "gpu", "-n", str(workers), "--tb=short", "-v", "-p", "no:cacheprovider"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": ROOT}
    process = subprocess.Popen([sys.executable, "-m", "pytest", *options], **piped)
    try:
        output = process.communicate(timeout=PARTS["tests"].limit - 20)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        output = process.communicate()[0]
    lines = output.splitlines()
    yield {"tests": "gpu", "summary": lines[-1] if lines else "", "code": process.returncode}
    yield from ({"failed": line} for line in lines if line.startswith(("FAILED", "ERROR", "E ")))


def losses():
    """Every loss and variant in float32 on the GPU against float64 on the host: value and gradients."""
    from mini_repr.pages.check_page import sampled_arguments
    from mini_repr.pages.registry import all_losses

    backend = gpu()
    for name, loss in all_losses().items():
        for variant in ("default", *loss.variants):
            arguments = sampled_arguments(loss, variant, np.random.default_rng(0))

            yield tried({"loss": name, "variant": variant}, rounding, backend, loss, arguments)


def rounding(backend, loss, arguments):
    """How far value and gradients in float32 on ``backend`` lie from those in float64 on the host."""
    from mini_repr.backend import CPU

    found = value_and_gradients(backend, loss, arguments, "float32")
    expected = value_and_gradients(CPU, loss, arguments, "float64")
    return {"units": max(apart(one, other, "float32") for one, other in zip(found, expected, strict=True))}


def value_and_gradients(backend, loss, arguments, dtype):
    """The value of a loss at host arguments, then its gradients, computed on ``backend`` and brought back."""
    from mini_repr.autograd import Tensor
    from mini_repr.pages.check_page import differentiable

    names = differentiable(loss, arguments)
    moved = {
        n: backend.asarray(cast(np.asarray(x), dtype)) if n in names or isinstance(x, np.ndarray) else x
        for n, x in arguments.items()
    }
    tensors = {n: Tensor(moved[n], requires_grad=True) for n in names}
    output = loss(**{**moved, **tensors})
    if output.requires_grad:
        output.backward(output.data * 0 + 1)
    given = [output.data, *(t.grad for t in tensors.values() if t.grad is not None)]
    return [backend.to_numpy(x) for x in given]


def cast(array, dtype):
    return array.astype(dtype) if array.dtype.kind == "f" else array


def resume():
    """Four epochs against two and two: how many arrays of the checkpoints differ. None should."""
    jobs = {
        "infonce": ["--loss", "infonce"],
        "supcon": ["--loss", "supcon"],
        "masked patches": ["--loss", "masked_regression"],
        "texts": ["--loss", "infonce", "--data", "glosses"],
    }
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2 * len(jobs)) as pool:
        runs = {}
        for job, chosen in jobs.items():
            places = [f"{folder}/{job}-{name}" for name in ("whole", "again")]
            runs[job] = [(place, pool.submit(trained, place, chosen)) for place in places]
        for job, chosen in jobs.items():
            yield tried({"resumed": job}, resumed, runs[job], f"{folder}/{job}-parts", chosen)


def trained(folder, chosen):
    cli("train", *chosen, "--epochs", "4", "--out", folder, "--device", DEVICE)


def resumed(runs, parts, chosen):
    """Two whole runs, under way in other processes, against one that is interrupted."""
    interrupted(parts, chosen)
    for _, run in runs:
        run.result()
    (whole, _), (again, _) = runs
    return {"differ": differing(whole, parts), "the same run twice": differing(whole, again)}


def interrupted(folder, chosen):
    """A run of four epochs, stopped by hand after the second."""
    from mini_repr.training import session

    sections = {"loss": {"name": chosen[1]}, "train": {"epochs": 4}, "device": DEVICE}
    if "--data" in chosen:
        sections["data"] = {"name": chosen[3]}
    run, home = session.start(sections, out=folder)
    epochs = session.remaining_epochs(run, home)
    next(epochs), next(epochs)
    home.close()
    cli("train", "--resume", "--out", folder, "--device", DEVICE)


def differing(*folders):
    one, other = (np.load(f"{folder}/checkpoint.npz") for folder in folders)
    return sum(not np.array_equal(one[name], other[name]) for name in one.files if one[name].dtype.kind == "f")


def commands():
    """The commands as a user types them."""
    with tempfile.TemporaryDirectory() as folder:
        for loss in ("supcon", "masked_regression", "siglip", "infonce"):
            run = f"{folder}/{loss}"
            train = ("train", "--loss", loss, "--epochs", "2", "--out", run)
            yield tried({"train": loss}, timed, train, "epoch")
        yield tried({"eval": "infonce"}, timed, ("eval", run), "trained")
        embed = ("embed", run, "--data", "digits", "--out", f"{folder}/rows.npz")
        yield tried({"embed": "infonce"}, timed, embed)
        wrong = subprocess.run(cli_command("train", "--device", "gpu:7"), cwd=ROOT, capture_output=True, text=True)
        yield {"gpu:7": wrong.stderr.strip(), "code": wrong.returncode}


def timed(command, word=""):
    """The last line with ``word`` that a command prints, and its seconds, the start of a process among them."""
    started = time.perf_counter()
    line = last(cli(*command, "--device", DEVICE), word)
    return {"last": line, "seconds": time.perf_counter() - started}


def cli_command(*arguments):
    return [sys.executable, "-m", "mini_repr.cli", *arguments]


def cli(*arguments):
    """What a command prints; one that fails raises with what it says."""
    ran = subprocess.run(cli_command(*arguments), cwd=ROOT, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {(ran.stderr or ran.stdout).strip()[-500:]}")
    return ran.stdout


def last(output, word=""):
    return next((line for line in reversed(output.splitlines()) if word in line), "")


# ---------------------------------------------------------------------------------------------------------------------
# Fast.


def step():
    """A training step by its phases, then as a run takes it, by the epoch."""
    from mini_repr.autograd import split
    from mini_repr.losses.pairs.infonce import infonce
    from mini_repr.nn import ProjectionHead, Sequential, ViT
    from mini_repr.optim import AdamW

    backend = gpu()
    for batch, width in SIZES:
        rng = np.random.default_rng(0)
        encoder = ViT((1, 28, 28), rng, patch=4, width=width, depth=4, heads=width // 32)
        head = ProjectionHead(width, 256, 128, rng)
        network = Sequential(encoder, lambda encoded: encoded.pooled, head).to(backend)
        optimizer = AdamW(network.named_parameters(), 1e-3)
        pair = backend.asarray(rng.random((2 * batch, 1, 28, 28), dtype=np.float32))

        def forward(network=network, pair=pair, batch=batch):
            return infonce(*split(network(pair), (batch, batch)), temperature=0.2)

        def both(forward=forward, optimizer=optimizer):
            optimizer.zero_grad()
            forward().backward()

        def updated(both=both, optimizer=optimizer):
            both()
            optimizer.step()

        phases = {"forward": forward, "forward and backward": both, "update": optimizer.step, "step": updated}
        for phase, work in phases.items():
            what = {"ours": phase, "batch": batch, "width": width}
            yield tried(what, speed, backend, {"seconds": work})
        for ahead in (False, True):
            what = {"run": "step of an epoch", "batch": batch, "width": width, "views drawn ahead": ahead}
            yield tried(what, epoch, backend, batch, width, ahead)
        yield {"ours": "pool", "batch": batch, "width": width, "bytes": backend.memory_used()}


def epoch(backend, batch, width, ahead, steps=10):
    """Seconds of a step in an epoch of InfoNCE on random images, views and all, after an epoch to warm up."""
    from mini_repr.data.dataset import Dataset, ImageSet
    from mini_repr.training.run import Run
    from mini_repr.training.session import prepare

    images = np.random.default_rng(0).random((steps * batch, 1, 28, 28), dtype=np.float32)
    data = Dataset("random", *(ImageSet("random", part) for part in (images, images[:2])))
    chosen = {"loss": {"name": "infonce"}, "train": {"batch_size": batch, "epochs": 2}}
    chosen["encoder"] = {"name": "vit", "width": width, "depth": 4, "heads": width // 32, "patch": 4}
    run = Run(*prepare(chosen, data), backend)
    run.draws_ahead = ahead
    list(run.steps())
    started = time.perf_counter()
    list(run.steps())
    return {"seconds": (time.perf_counter() - started) / steps}


def torch_step():
    """The same step in PyTorch, eager."""
    if find_spec("torch") is None:
        yield {"torch": "not installed"}
        return
    import torch

    if not torch.cuda.is_available():
        yield {"torch": f"{torch.__version__} sees no GPU"}
        return
    sys.path.insert(0, str(ROOT / "scripts"))
    from bench_sides.in_torch import infonce, vit_module

    for batch, width in SIZES:
        head = torch.nn.Sequential(torch.nn.Linear(width, 256), torch.nn.ReLU(), torch.nn.Linear(256, 128))
        model = torch.nn.Sequential(vit_module(28, 4, width, 4, width // 32), head).cuda()
        pair = torch.rand(2 * batch, 1, 28, 28, device="cuda")
        for tf32 in (False, True):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            for form in ("foreach", "fused"):
                optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05, **{form: True})

                def whole(model=model, pair=pair, optimizer=optimizer, batch=batch):
                    optimizer.zero_grad()
                    infonce(*model(pair).split(batch), 0.2).backward()
                    optimizer.step()

                taken = seconds(CudaTorch, whole)
                yield {"torch": form, "tf32": tf32, "batch": batch, "width": width, "seconds": taken}


def loss_speed():
    """Value and gradient of losses at 8,192 rows, beside the same losses in PyTorch."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from bench_sides import common, in_torch

    from mini_repr.autograd import Tensor
    from mini_repr.pages.registry import all_losses

    backend, losses = gpu(), all_losses()
    host, classes = common.rows(*LOSS_SHAPE), np.arange(LOSS_SHAPE[0]) % 64
    a, b = (backend.asarray(x) for x in host)
    for name, options in common.LOSSES.items():
        loss = losses[common.PAGE.get(name, name)]

        def work(loss=loss, options=options):
            # Labels stay on the host, as the training loop gives them.
            second = classes if loss.compares == "labels" else Tensor(b, requires_grad=True)
            loss(Tensor(a, requires_grad=True), second, **options).backward()

        yield tried({"loss": name, "shape": LOSS_SHAPE}, speed, backend, {"ours": work})
    if find_spec("torch") is None:
        return
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    a, b = (torch.from_numpy(x).cuda().requires_grad_() for x in host)
    for name, loss in in_torch.losses(a, b, torch.from_numpy(classes).cuda()).items():

        def work(loss=loss):
            a.grad = b.grad = None
            loss().backward()

        yield tried({"loss": name, "shape": LOSS_SHAPE}, speed, CudaTorch, {"torch": work})


class CudaTorch:
    """What ``seconds`` asks of a backend, of PyTorch's current device."""

    @staticmethod
    def synchronize():
        import torch

        torch.cuda.synchronize()


def bandwidth():
    """Bytes a second of each kernel on large arrays, beside the NumPy form on the GPU."""
    from mini_repr.autograd.primitives.attention import scaled_softmax, scaled_softmax_back
    from mini_repr.autograd.primitives.elementwise import biased_gelu, gelu_and_slope
    from mini_repr.autograd.primitives.normalisation import normalise_back_into, normalise_into, unit_rows_into
    from mini_repr.optim.adamw import adamw_update

    backend = gpu()
    xp = backend.xp
    rows = 16 * 1024

    def new(*shape):
        return xp.ones(shape, dtype="float32")

    wide, other, third = (new(rows, 1024) for _ in range(3))
    column = new(rows, 1)
    numbers = 1e-3, 1e-8, 0.9, 0.1, 0.999, 0.001, 0.99
    calls = {
        biased_gelu: (new(1024), wide, None, other),
        gelu_and_slope: (wide, other, third),
        normalise_into: (wide, 1e-5, other, column),
        normalise_back_into: (wide, column, None, other, third),
        unit_rows_into: (wide, 0.0, other, column, xp.zeros((rows, 1), dtype=bool)),
        scaled_softmax: (0.1, None, wide),
        scaled_softmax_back: (0.1, wide, new(rows, 32), new(rows, 32), other),
        adamw_update: (*numbers, wide, other, third, new(rows, 1024)),
    }
    for kernel, arguments in calls.items():
        size = sum(x.nbytes for x in arguments if isinstance(x, xp.ndarray))
        forms = {"fused": partial(kernel, backend), "by NumPy's passes": partial(kernel.form, backend)}
        works = {name: partial(form, *arguments) for name, form in forms.items()}
        yield tried({"kernel": kernel.name, "bytes": size}, speed, backend, works)
    q, k, p = new(2048, 4, 50, 32), new(2048, 4, 50, 32), new(2048, 4, 50, 50)
    transposed = k.swapaxes(-1, -2)
    works = {
        "ours": lambda: backend.matmul(q, transposed, out=p),
        "CuPy's own": lambda: xp.matmul(q, transposed, out=p),
    }
    yield tried({"products": "of heads"}, speed, backend, works)
    index = xp.asarray(np.random.default_rng(0).zipf(1.5, 16_384) % 4096)
    table, values = new(4096, 128), new(16_384, 128)
    works = {
        "ours": lambda: backend.scatter_add(table, index, values),
        "CuPy's own": lambda: xp.add.at(table, index, values),
    }
    yield tried({"sums": "of repeated rows"}, speed, backend, works)


def large():
    """What is said to need little memory, at sizes that show it."""
    from mini_repr.kernels.nearest import nearest_rows
    from mini_repr.kernels.supervision import gaussian_neighbours
    from mini_repr.pages.registry import all_losses

    backend, rng = gpu(), np.random.default_rng(0)

    def rows(*shape):
        return backend.asarray(rng.standard_normal(shape, dtype=np.float32))

    losses = all_losses()
    work = {
        "infonce": (losses["infonce"].value_and_grad, [LARGE["infonce"]] * 2),
        "t_regs": (losses["t_regs"].value_and_grad, [(256, 64)]),
        "best_alignment": (losses["best_alignment"].value_and_grad, [(256, 60, 64), (256, 30, 64)]),
        "gaussian_neighbours": (gaussian_neighbours, [(2048, 64)]),
        "nearest_rows": (lambda x: nearest_rows(x, 10), [LARGE["nearest_rows"]]),
    }
    for name, (function, shapes) in work.items():
        yield tried({"large": name, "shapes": shapes}, at_size, backend, function, [rows(*shape) for shape in shapes])


def at_size(backend, function, arrays):
    """Seconds of a call, and the memory that it left in the pool."""
    taken = seconds(backend, lambda: function(*arrays), 1)
    return {"seconds": taken, "pool": backend.memory_used()}


# ---------------------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A function that yields dictionaries, and the seconds that it may take."""

    function: object
    limit: int


# The most valuable first; their limits are under ten minutes together.
PARTS = {
    part.function.__name__: part
    for part in (
        Part(platform, 20),
        Part(kernels, 30),
        Part(tests, 100),
        Part(step, 40),
        Part(torch_step, 35),
        Part(loss_speed, 45),
        Part(resume, 100),
        Part(bandwidth, 20),
        Part(commands, 80),
        Part(losses, 90),
        Part(large, 25),
    )
}


def run(name):
    """The results of a part, in this process: one JSON line each, and one for what went wrong."""
    try:
        for result in PARTS[name].function():
            print(json.dumps({"part": name, **result}), flush=True)
    except Exception as error:  # the next part must not miss its turn
        print(json.dumps({"part": name, "failed": f"{type(error).__name__}: {str(error)[:500]}"}), flush=True)


def run_apart(name, write):
    """A part in a process of its own, killed at its limit with all that it started; ``write`` takes each line."""
    command = [sys.executable, __file__, "--here", name, "--device", DEVICE]
    started = time.perf_counter()
    environment = {"CUPY_CACHE_DIR": str(Path(tempfile.gettempdir()) / "mini_repr_kernels"), **os.environ}
    # The package beside this script, installed or not.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    piped = {"stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **piped)
    stopped = threading.Event()

    def stop():
        stopped.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(PARTS[name].limit, stop)
    timer.start()
    try:
        for line in process.stdout:
            write(line)
        code = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:  # interrupted by hand: a session of its own is not
            stop()
    if stopped.is_set():
        write(json.dumps({"part": name, "failed": f"stopped at its limit of {PARTS[name].limit} s"}) + "\n")
    ended = {"part": name, "seconds": round(time.perf_counter() - started, 1), "code": code}
    write(json.dumps(ended) + "\n")


def main():
    global DEVICE
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="names of parts, with commas between")
    parser.add_argument("--out", help="a file to add the lines to")
    parser.add_argument("--device", default=DEVICE, help="such as gpu:1; cpu tries those parts that ask for no CUDA")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    DEVICE = arguments.device
    if arguments.here:
        run(arguments.here)
        return
    names = arguments.only.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"--only: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")

    def write(line):
        print(line, end="", flush=True)
        if arguments.out:
            with open(arguments.out, "a", encoding="utf-8") as file:
                file.write(line)

    for name in names:
        run_apart(name, write)


if __name__ == "__main__":
    main()
