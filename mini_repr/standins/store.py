"""Where trained stand-ins are kept: one checkpoint file each, outside the package, made when it is first asked for."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mini_repr.pages.names import choose
from mini_repr.standins import scenes_clip, scenes_flow, scenes_lmm, spotter
from mini_repr.training import checkpoint

FOLDER = "MINI_REPR_STANDINS"  # environment variable
FORMAT = 1  # raised where the trained result of an unchanged recipe would change


class Standin(NamedTuple):
    """One kind.

    says: what it does, and what it stands for. make(seed): untrained. train(module, seed, watch): in place.
    gate(module, get): {what: (measured, the least that is needed or None)}; ``get`` gives other stand-ins. seconds: of
    training, on one core, about. settings: of the recipe, which name its file.
    """

    says: str
    make: Callable
    train: Callable
    gate: Callable
    seconds: int
    settings: dict


STANDINS = {
    "spotter": Standin(
        "which digit is in a cell of a scene, for detectors and judges",
        make=spotter.make,
        train=spotter.train,
        gate=spotter.gate,
        seconds=5,
        settings={},
    ),
    "scenes-flow": Standin(
        "draws a scene from its caption, for text-to-image models",
        make=scenes_flow.make,
        train=scenes_flow.train,
        gate=scenes_flow.gate,
        seconds=240,
        settings=scenes_flow.SETTINGS,
    ),
    "scenes-flow-fine": Standin(
        "draws a scene from its caption, with sixteen tokens in place of four",
        make=partial(scenes_flow.make, **scenes_flow.FINE),
        train=scenes_flow.train,
        gate=scenes_flow.gate,
        seconds=360,
        settings=scenes_flow.FINE,
    ),
    "scenes-clip": Standin(
        "rows of scenes and of captions that find each other, for CLIP",
        make=scenes_clip.make,
        train=scenes_clip.train,
        gate=scenes_clip.gate,
        seconds=60,
        settings=scenes_clip.SETTINGS,
    ),
    "scenes-lmm": Standin(
        "answers questions on scenes, for multimodal language models",
        make=scenes_lmm.make,
        train=scenes_lmm.train,
        gate=scenes_lmm.gate,
        seconds=180,
        settings=scenes_lmm.SETTINGS,
    ),
    "scenes-lmm-vit": Standin(
        "answers questions on scenes that a vision transformer has looked at",
        make=partial(scenes_lmm.make, **scenes_lmm.WITH_VISION),
        train=partial(scenes_lmm.train, steps=scenes_lmm.STEPS_WITH_VISION),
        gate=partial(scenes_lmm.gate, kinds=scenes_lmm.KINDS_WITH_VISION),
        seconds=450,
        settings={**scenes_lmm.WITH_VISION, "steps": scenes_lmm.STEPS_WITH_VISION},
    ),
}
_loaded = {}


def folder():
    """Where trained stand-ins are kept: what ``MINI_REPR_STANDINS`` says, else the user's cache folder."""
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER])
    if sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "mini-repr" / "standins"


def place_of(name, seed=0, within=None):
    """The file of a trained stand-in: a changed recipe or seed has another name."""
    recipe = json.dumps([name, seed, STANDINS[name].settings, FORMAT], sort_keys=True)
    return Path(within or folder()) / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.npz"


def get(name, seed=0, *, within=None, tell=None):
    """A trained stand-in: a module in evaluation mode, whose parameters want no gradient.

    Args:
        seed: of its training. within: folder in place of ``folder()``. tell: called with a line of text where it must
            be trained or cannot be kept; by default the line goes to standard error.
    Raises:
        ValueError: no such stand-in, or a damaged file.
    """
    choose("stand-in", name, STANDINS)
    path = place_of(name, seed, within)
    if path not in _loaded:
        module = STANDINS[name].make(seed)
        if path.exists():
            module.load_state_dict(checkpoint.load(path)[0])
        else:
            train(name, seed, within=within, module=module, tell=tell)
        for parameter in module.parameters():
            parameter.requires_grad = False
        _loaded[path] = module.eval()
    return _loaded[path]


def train(name, seed=0, *, within=None, module=None, watch=None, tell=None):
    """Train a stand-in and keep it: (module, its file, or None where that cannot be written)."""
    tell = tell or (lambda text: print(text, file=sys.stderr))
    standin = STANDINS[choose("stand-in", name, STANDINS)]
    module, path = module or standin.make(seed), place_of(name, seed, within)
    tell(f"{name}: training it now, about {standin.seconds} s on one core; kept in {path}")
    started = time.perf_counter()
    standin.train(module, seed, watch)
    meta = {"name": name, "seed": seed, "seconds": time.perf_counter() - started}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, module.state_dict(), meta)
    except (OSError, checkpoint.CheckpointError) as problem:
        tell(f"{name}: not kept: {problem}")
        return module, None
    return module, path


def gates(name, seed=0, within=None):
    """{what: (measured, the least that is needed, or None)} of a trained stand-in."""
    return STANDINS[name].gate(get(name, seed, within=within), partial(get, within=within))
