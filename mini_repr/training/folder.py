"""The run folder: what a run leaves behind, and who may write into it.

``config.json`` every resolved setting; ``env.json`` versions and device; ``metrics.jsonl`` one record an epoch;
``train.log`` the same for people; ``checkpoint.npz`` all that resuming needs; ``metrics.json`` the final table. While a
process trains into the folder, ``.lock`` says which one; readers need no lock.
"""

import contextlib
import itertools
import json
import os
import platform
import shutil
import socket
import time
import weakref
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

import mini_repr

CONFIG, ENVIRONMENT, EPOCHS, LOG, CHECKPOINT, REPORT = (
    "config.json",
    "env.json",
    "metrics.jsonl",
    "train.log",
    "checkpoint.npz",
    "metrics.json",
)
# The sections that every config.json has, each of them a dict.
SETTINGS = ("loss", "method", "encoder", "data", "optimizer", "train")
OURS = (CONFIG, ENVIRONMENT, EPOCHS, LOG, CHECKPOINT, REPORT)
LOCK = ".lock"


class RunError(ValueError):
    """A run folder is missing, taken, or not one."""


class RunFolder:
    """Paths and writers of one run. Use ``create`` for a new run and ``open_run`` for an existing one."""

    def __init__(self, path):
        self.path = Path(path)
        self._lock = None
        self._replaced = None  # the run that this one is to replace

    def __truediv__(self, name):
        return self.path / name

    def write_json(self, name, content):
        """Write whole or not at all."""
        temporary = self / f".{name}.{os.getpid()}"
        _write(temporary, json.dumps(content, indent=2, allow_nan=False) + "\n")
        os.replace(temporary, self / name)

    def read_json(self, name):
        path = self / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path}: no {name} there, so it is not a run folder") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise RunError(f"{path}: cannot be read: {error}") from None

    def other_version(self):
        """A clause that says which other version wrote the folder, for complaints about what it holds; or nothing."""
        try:
            version = json.loads((self / ENVIRONMENT).read_text(encoding="utf-8"))["mini_repr"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        here = mini_repr.__version__
        return "" if version == here else f" (written by mini_repr {version}, this is {here})"

    def lock(self):
        """Keep other processes from training into the folder until ``close``, or until this process ends.

        Raises:
            RunError: another process trains into it, or the lock file cannot be written.
        """
        with writing(self / LOCK):
            self._lock = weakref.finalize(self, _unlock, _locked(self / LOCK), self / LOCK)

    def close(self):
        """Let other processes train into the folder."""
        if self._lock:
            self._lock()

    def take_place(self):
        """Move a run that was set up beside another into its place; the other waits aside until an epoch is done."""
        if self._replaced is None:
            return
        old, shown = self._replaced, self._replaced.path
        place = shown.resolve()
        shutil.rmtree(_aside(place), ignore_errors=True)
        old._move(place, _aside(place))
        try:
            self._move(self.path, place)
        except OSError:
            old._move(old.path, place)
            raise
        self.path, self._replaced = shown, None
        old.close()

    def _move(self, path, to):
        os.rename(path, to)
        self.path = to
        _, unlock, (descriptor, _), _ = self._lock.detach()
        self._lock = weakref.finalize(self, unlock, descriptor, to / LOCK)

    def remove(self):
        """Delete what the run wrote, and the folder if that was all; a run that it replaced comes back."""
        for name in OURS:
            (self / name).unlink(missing_ok=True)
        self.close()
        with contextlib.suppress(OSError):
            self.path.rmdir()
            _bring_back(self.path)
        if self._replaced:
            self._replaced.close()

    def append_epoch(self, record):
        _write(self / EPOCHS, json.dumps(record, allow_nan=False) + "\n", "a")
        shutil.rmtree(_aside(self.path.resolve()), ignore_errors=True)

    def log(self, line):
        _write(self / LOG, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n", "a")

    def forget_epochs_after(self, epoch):
        """Drop records of epochs that a killed run logged but did not checkpoint, and a half-written last line."""
        path = self / EPOCHS
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                if json.loads(line)["epoch"] <= epoch:
                    kept.append(line)
            except (json.JSONDecodeError, KeyError, TypeError):
                continue
        temporary = self / f".{EPOCHS}.{os.getpid()}"
        _write(temporary, "".join(line + "\n" for line in kept))
        os.replace(temporary, path)


class Onlooker(RunFolder):
    """The folder as the ranks have it that do not write: of several, the first does."""

    def write_json(self, name, content):
        pass

    def append_epoch(self, record):
        pass

    def log(self, line):
        pass

    def forget_epochs_after(self, epoch):
        pass

    def remove(self):
        pass

    def lock(self):
        pass


def create(path, overwrite=False):
    """A locked folder for a new run. A non-empty one is refused, or with ``overwrite`` replaced by ``take_place``.

    Raises:
        RunError: the folder has something in it (names the three ways out), or another process trains into it.
    """
    folder = RunFolder(path)
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"--out {path}: is a file, expected a folder")
    _bring_back(folder.path)
    refuse_taken_folder(path, overwrite)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {path}: cannot be made: {error.strerror}") from None
    folder.lock()
    try:
        refuse_taken_folder(path, overwrite)  # by a run that has ended since
        if [entry.name for entry in folder.path.iterdir()] == [LOCK]:
            return folder
        place = folder.path.resolve()
        beside = RunFolder(place.with_name(f".{place.name}.new"))
        shutil.rmtree(beside.path, ignore_errors=True)
        beside.path.mkdir()
        beside.lock()
    except BaseException:
        folder.close()
        raise
    beside._replaced = folder
    return beside


def refuse_taken_folder(path, overwrite):
    """Raise RunError where a folder holds something, or with ``overwrite`` something that no run wrote."""
    names = [entry.name for entry in Path(path).iterdir() if entry.name != LOCK] if Path(path).is_dir() else []
    if names and not overwrite:
        raise RunError(
            f"--out {path}: not empty. --resume goes on with that run, --init-from {path} with another --out "
            "starts a new run from its weights, --overwrite replaces it"
        )
    foreign = [name for name in names if name not in OURS and not name.startswith(tuple(f".{n}." for n in OURS))]
    if foreign:
        raise RunError(f"--out {path}: holds {foreign[0]}, which no run writes; --overwrite will not delete it")


def _aside(path):
    return path.with_name(f".{path.name}.replaced")


def _bring_back(path):
    """Undo a replacement that was cut off between its two moves."""
    place = path.resolve()
    if not place.exists() and _aside(place).is_dir():
        os.rename(_aside(place), place)


def _locked(path):
    """The descriptor of a lock file that this process has locked; None where the file alone says so."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        found = os.read(descriptor, 1000).decode("utf-8", errors="replace").split("\n")[0]
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RunError(f"{path.parent}: {found or 'another process'} trains into it; wait, or stop it") from None
        except (AttributeError, OSError):  # Windows, or a file system without locks
            _refuse_unless_dead(path, descriptor, found)
        with contextlib.suppress(FileNotFoundError):  # who had it may have deleted it: then it locks nothing
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
    who = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')},"
    _write(path, f"{who}\ntrains into this folder. Once it has ended, this file has no effect.\n")
    if fcntl is None:  # Windows neither moves nor deletes what is open
        os.close(descriptor)
        return None
    return descriptor


def _refuse_unless_dead(path, descriptor, found):
    """Without locks: RunError unless the process that a lock file names has ended, as far as this machine knows."""
    words = found.replace(",", "").split()
    if len(words) > 3 and words[3] == socket.gethostname() and os.name == "posix":
        try:
            os.kill(int(words[1]), 0)
        except ProcessLookupError:
            return
    if found:
        os.close(descriptor)
        raise RunError(f"{path.parent}: {found} trains into it, if it has not ended; if it has, delete {path}")


def _unlock(descriptor, path):
    with contextlib.suppress(OSError):
        os.unlink(path)
    if descriptor is not None:
        os.close(descriptor)


def _write(path, text, mode="w"):
    with writing(path), open(path, mode, encoding="utf-8") as file:
        file.write(text)


def refuse_taken_file(out):
    """Raise ValueError unless ``--out`` names a file that is not there yet, in a folder that is."""
    if os.path.exists(out):
        raise ValueError(f"--out {out}: exists already; choose another name or remove it")
    if not Path(out).name or not Path(out).parent.is_dir():
        raise ValueError(f"--out {out}: no folder {Path(out).parent}" if out else "--out: got '', expected a file")


@contextlib.contextmanager
def whole_file(out):
    """A block that writes to the name it is given; only when it is done does the file stand at ``--out``."""
    temporary = f"{out}.{os.getpid()}.partial"
    try:
        yield temporary
        os.replace(temporary, out)
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written: {error.strerror}") from None
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


@contextlib.contextmanager
def writing(path):
    """A block that writes a file; a disk that is full or refuses is a RunError that names it."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None


def open_run(path):
    """An existing run's folder; RunError if it is none."""
    folder = RunFolder(path)
    _bring_back(folder.path)
    if not folder.path.is_dir():
        raise RunError(f"{path}: no such run folder")
    settings = folder.read_json(CONFIG)
    if not isinstance(settings, dict) or not all(isinstance(settings.get(name), dict) for name in SETTINGS):
        raise RunError(f"{folder / CONFIG}: holds no settings, so {path} is not a run folder")
    return folder


def free_folder(stem, parent="runs"):
    """The first of ``runs/stem-001``, ``runs/stem-002``, ... that does not exist, made."""
    for number in itertools.count(1):
        path = Path(parent) / f"{stem}-{number:03d}"
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            return path


def environment(backend, seed):
    """Versions and hardware that a result depends on."""
    import scipy

    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    if backend.name != "cpu":
        versions["cupy"] = backend.xp.__version__
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "mini_repr": mini_repr.__version__,
        **versions,
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": backend.name,
        "seed": seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
