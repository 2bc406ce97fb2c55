"""The run folder: what a run leaves behind, and who may write into it.

``config.json`` every resolved setting; ``env.json`` versions and device; ``metrics.jsonl`` one record an epoch;
``train.log`` the same for people; ``checkpoint.npz`` all that resuming needs; ``metrics.json`` the final table.
"""

import contextlib
import json
import os
import platform
import shutil
import time
from pathlib import Path

import numpy as np

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


class RunError(ValueError):
    """A run folder is missing, taken, or not one."""


class RunFolder:
    """Paths and writers of one run. Use ``create`` for a new run and ``open_run`` for an existing one."""

    def __init__(self, path):
        self.path = Path(path)

    def __truediv__(self, name):
        return self.path / name

    def write_json(self, name, content):
        """Write whole or not at all."""
        temporary = self / f".{name}.{os.getpid()}"
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
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

    def remove(self):
        """Delete what the run wrote, and the folder if that was all."""
        for name in OURS:
            (self / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def append_epoch(self, record):
        with open(self / EPOCHS, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")

    def log(self, line):
        with open(self / LOG, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

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
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
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


def create(path, overwrite=False):
    """A folder for a new run. A non-empty one is refused, or with ``overwrite`` emptied of what runs write.

    Raises:
        RunError: the folder has something in it; names the three ways out.
    """
    folder = RunFolder(path)
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"--out {path}: is a file, expected a folder")
    if folder.path.is_dir() and any(folder.path.iterdir()):
        if not overwrite:
            raise RunError(
                f"--out {path}: not empty. --resume goes on with that run, --init-from {path} with another --out "
                "starts a new run from its weights, --overwrite replaces it"
            )
        foreign = [entry.name for entry in folder.path.iterdir() if entry.name not in OURS and entry.name[0] != "."]
        if foreign:
            raise RunError(f"--out {path}: holds {foreign[0]}, which no run writes; --overwrite will not delete it")
        shutil.rmtree(folder.path)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {path}: cannot be made: {error.strerror}") from None
    return folder


def open_run(path):
    """An existing run's folder; RunError if it is none."""
    folder = RunFolder(path)
    if not folder.path.is_dir():
        raise RunError(f"{path}: no such run folder")
    settings = folder.read_json(CONFIG)
    if not isinstance(settings, dict) or not all(isinstance(settings.get(name), dict) for name in SETTINGS):
        raise RunError(f"{folder / CONFIG}: holds no settings, so {path} is not a run folder")
    return folder


def free_name(stem, parent="runs"):
    """The first of ``runs/stem-001``, ``runs/stem-002``, ... that does not exist."""
    number = 1
    while (Path(parent) / f"{stem}-{number:03d}").exists():
        number += 1
    return Path(parent) / f"{stem}-{number:03d}"


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
