"""From what a user typed to every resolved setting of a run.

Settings are sections of plain values, ``{"loss": {"name": "infonce", "temperature": 0.2, ...}, ...}``: what
``config.json`` holds, what a TOML file gives and what ``--set loss.temperature=0.2`` changes. Later sources win:
defaults of the code, the recipe of the loss, the file, the command line.
"""

import copy
import inspect
import tomllib

from mini_repr.methods import METHODS, default_encoder, default_method
from mini_repr.methods.objective import check_objective, check_settings
from mini_repr.pages.names import choose, find, find_loss, suggestion
from mini_repr.pages.registry import pages_of
from mini_repr.training.recipes import recipe_of

# grad_cache: rows to encode at once, 0 for the batch. loss_groups: equal parts of a batch, each with its own loss.
# batches: shuffled, "balanced" (samples_per_class rows of each class that is in it) or "bound" (some rows are in all).
# learn: scalars of the loss that training moves. matryoshka: numbers of leading columns to compare, none for all.
# reweight: how much each row counts by its loss, see ``mini_repr.optim.REWEIGHTINGS``.
OBJECTIVE = {"learn": [], "matryoshka": [], "reweight": ""}
TRAIN = {"epochs": 100, "batch_size": 128, "seed": 0, "grad_cache": 0, "loss_groups": 1}
TRAIN |= {"batches": "shuffled", "samples_per_class": 4}
LEAST = {"epochs": 1, "batch_size": 2, "seed": 0, "grad_cache": 0, "loss_groups": 1, "samples_per_class": 2}
SCHEDULE = {"schedule": "cosine", "warmup_steps": 50, "clip_norm": 0.0}
# An optimiser named "sam:adamw" takes AdamW's step with the gradient that sharpness-aware minimisation finds.
CLIMBING = "sam:"
SAM_SETTINGS = {"rho": 0.05, "adaptive": False}
PYTHON_WORDS = {"True": True, "False": False, "None": None}
SECTIONS = ("loss", "add", "method", "encoder", "data", "optimizer", "train", "device")


class ConfigError(ValueError):
    """A setting that does not exist or cannot have that value."""


def resolve(chosen, takes="images"):
    """Every setting of a run, from the few that were chosen.

    Args:
        chosen: nested dict, sections as above, any of them partial; ``chosen["device"]`` is a string.
        takes: what the data holds, "images" or "texts", which decides the method and the encoder that go unnamed.
    Returns:
        nested dict with every default filled in; the same dict resolves to itself.
    Raises:
        ConfigError, ValueError: unknown names (with the nearest known one), values of the wrong kind or out of range.
    """
    check_sections(chosen)
    loss = find_loss(chosen.get("loss", {}).get("name", "infonce"))
    chosen = merge(recipe_of(loss), chosen)
    method = choose("method", chosen.get("method", {}).get("name") or default_method(loss, takes), METHODS)
    encoder = find("encoder", chosen.get("encoder", {}).get("name") or default_encoder(takes))
    bases = pages_of("optimiser")
    names = [*bases, *(f"{CLIMBING}{name}" for name in bases)]
    optimizer = choose("optimizer", chosen.get("optimizer", {}).get("name", "adamw"), names)
    base = optimizer.removeprefix(CLIMBING)

    defaults = {
        "loss": {"name": loss.name, **OBJECTIVE, **{p.name: p.default for p in loss.settings}},
        "add": {},
        "method": {"name": method, "views": None, **keyword_defaults(METHODS[method])},
        "encoder": {"name": encoder.name, **keyword_defaults(encoder.thing)},
        "data": {"name": "digits"},
        "optimizer": {"name": optimizer, "lr": 3e-3, **keyword_defaults(bases[base].thing), **SCHEDULE},
        "train": TRAIN,
        "device": "cpu",
    }
    if optimizer != base:
        defaults["optimizer"] |= SAM_SETTINGS
    settings = copy.deepcopy(defaults)
    for section, values in chosen.items():
        if section == "device":
            settings["device"] = str(values)
        elif section == "add":
            settings["add"] = _added(values, loss)
        else:
            for name, value in values.items():
                free = section == "data"  # the reader of the data names what it does not know
                if name not in settings[section] and not free:
                    raise ConfigError(_no_such_setting(section, name, settings[section]))
                settings[section][name] = value if free else _of_kind(section, name, value, defaults[section][name])
    settings["loss"] = _checked_loss(loss, settings["loss"])
    check_objective(loss, settings["loss"], [find_loss(name) for name in settings["add"]], method)
    _check_train(settings)
    return settings


def check_sections(chosen):
    """Raise ConfigError unless every entry is a known section, and each but the device a dict."""
    unknown = [section for section in chosen if section not in SECTIONS]
    if unknown:
        raise ConfigError(f"setting {unknown[0]!r}: no such section{suggestion(unknown[0], SECTIONS)}")
    for section in SECTIONS[:-1]:
        if not isinstance(chosen.get(section, {}), dict):
            raise ConfigError(f"setting {section}: got {chosen[section]!r}, expected a section such as {section}.name")


def variant_settings(chosen, name):
    """The loss settings of a named variant of the chosen loss."""
    loss = find_loss(chosen.get("loss", {}).get("name", "infonce"))
    return dict(loss.variants[choose(f"variant of {loss.name}", name, loss.variants)].settings)


def merge(base, over):
    """Nested dicts joined, ``over`` winning; neither is changed."""
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = merge(base[name], value) if both else value
    return merged


def keyword_defaults(function):
    """{name: default} of the parameters that a user may set: those with a default, but for types and names."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in ("dtype", "exclude")}


def parse_assignment(text):
    """``loss.temperature=0.2`` as nested dict. The value is read as TOML, or as text where it is none."""
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys) or (len(keys) < 2 and keys != ["device"]):
        raise ConfigError(f"--set {text}: expected SECTION.NAME=VALUE, such as loss.temperature=0.2")
    nested = parse_value(value.strip())
    for key in reversed(keys):
        nested = {key: nested}
    return nested


def parse_value(text):
    """The value that a user typed: TOML's, or True, False and None as `mini-repr show` prints them, or plain text."""
    if text in PYTHON_WORDS:
        return PYTHON_WORDS[text]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read_file(path):
    """Settings from a TOML file; ConfigError names the file and the place of a mistake."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: not TOML: {error}") from None


def _of_kind(section, name, value, default):
    """``value`` if it is of the default's kind (whole numbers pass for real ones; sequences for sequences)."""
    if default is None or (section == "loss" and name not in OBJECTIVE):  # annotations know better
        return value
    if isinstance(default, tuple):
        if isinstance(value, tuple | list) and len(value) == len(default):
            return [_of_kind(section, name, own, one) for own, one in zip(value, default, strict=True)]
    elif isinstance(default, list):
        if isinstance(value, tuple | list):
            return list(value)
    elif isinstance(default, bool) or isinstance(value, bool):
        if isinstance(default, bool) and isinstance(value, bool):
            return value
    elif isinstance(default, float) and isinstance(value, int | float):
        return float(value)
    elif isinstance(value, type(default)):
        return value
    kinds = {bool: "true or false", float: "a number", int: "a whole number", str: "text", list: "a list"}
    kind = kinds.get(type(default)) or f"a list of {len(default)}, such as {list(default)}"
    raise ConfigError(f"setting {section}.{name}: got {value!r}, expected {kind}")


def _checked_loss(loss, settings):
    plain = {n: v for n, v in settings.items() if n not in ("name", *OBJECTIVE)}
    check_settings(loss, plain)
    learnable = [p.name for p in loss.settings if p.annotation.differentiable]
    for name in settings["learn"]:
        if name not in learnable:
            raise ConfigError(f"loss.learn: {loss.name} has no learned scalar {name!r}; it has {learnable or 'none'}")
    for name, value in OBJECTIVE.items():
        _of_kind("loss", name, settings[name], value)
    return settings


def _no_such_setting(section, name, settings):
    owner = f"{section} {settings['name']}" if "name" in settings else section
    if section == "optimizer" and name in SAM_SETTINGS:
        return (
            f"setting optimizer.{name}: no setting of {settings['name']}, expected --optimizer sam:{settings['name']}"
        )
    return f"setting {section}.{name}: no such setting of {owner}{suggestion(name, settings)}"


def _added(chosen, main):
    """{regulariser: {"weight": w, settings...}} from ``{name: weight}`` or ``{name: {"weight": w, ...}}``."""
    added = {}
    for name, given in chosen.items():
        loss = find_loss(name)
        if loss is main:
            raise ConfigError(f"add {name}: got the main loss itself, expected another one")
        given = dict(given) if isinstance(given, dict) else {"weight": given}
        weight = given.pop("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) < float("inf"):
            raise ConfigError(f"add {name}: got weight {weight!r}, expected a number, such as --add {name}=0.5")
        check_settings(loss, given)
        added[name] = {"weight": float(weight), **{p.name: given.get(p.name, p.default) for p in loss.settings}}
    return added


def _check_train(settings):
    for name, least in LEAST.items():
        if settings["train"][name] < least:
            raise ConfigError(f"setting train.{name}: got {settings['train'][name]}, expected at least {least}")
    if settings["train"]["batches"] not in ("shuffled", "balanced", "bound"):
        got = settings["train"]["batches"]
        raise ConfigError(f"setting train.batches: got {got!r}, expected shuffled, balanced or bound")
    optimizer = settings["optimizer"]
    if optimizer["schedule"] not in ("cosine", "constant"):
        raise ConfigError(f"setting optimizer.schedule: got {optimizer['schedule']!r}, expected cosine or constant")
    for name in ("warmup_steps", "clip_norm"):
        if optimizer[name] < 0:
            raise ConfigError(f"setting optimizer.{name}: got {optimizer[name]}, expected 0 (off) or more")
