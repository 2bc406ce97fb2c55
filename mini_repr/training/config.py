"""From what a user typed to every resolved setting of a run.

Settings are sections of plain values, ``{"loss": {"name": "infonce", "temperature": 0.2, ...}, ...}``: what
``config.json`` holds, what a TOML file gives and what ``--set loss.temperature=0.2`` changes. Later sources win:
defaults of the code, the recipe of the loss, the file, the command line.
"""

import copy
import json
import tomllib
from dataclasses import asdict

from mini_repr.methods.build import default_encoder, default_loss, find_method
from mini_repr.optim import REWEIGHTINGS, SAM
from mini_repr.pages.field_names import meant
from mini_repr.pages.names import choose_folded, find, find_loss, find_variant, suggestion
from mini_repr.pages.registry import pages_of
from mini_repr.training import moved
from mini_repr.training.recipes import recipe_of
from mini_repr.training.sections import CLIMBING, LearningRate, Training

OBJECTIVE = {"learn": [], "matryoshka": [], "reweight": ""}
OBJECTIVE_SAYS = {
    "learn": 'scalars of the loss that training moves, such as ["temperature"]',
    "matryoshka": "numbers of leading columns to compare, such as [8, 16]; none for all",
    "reweight": f"how much each row counts by its loss: {', '.join(REWEIGHTINGS)}, or nothing",
}
PYTHON_WORDS = {"True": True, "False": False, "None": None}
SECTIONS = ("loss", "add", "method", "heads", "encoder", "data", "optimizer", "train", "device")


class ConfigError(ValueError):
    """A setting that does not exist or cannot have that value."""


def resolve(chosen, takes="images"):
    """Every setting of a run, from the few that were chosen. The constructors of its parts check the values.

    Args:
        chosen: nested dict, sections as above, any of them partial; ``chosen["device"]`` is a string.
        takes: what the data holds, "images" or "texts", which decides the method and the encoder that go unnamed.
    Returns:
        nested dict with every default filled in; the same dict resolves to itself.
    Raises:
        ValueError: unknown names (with the nearest known one), or a method that cannot train the loss.
    """
    check_sections(chosen)
    chosen = spelt_out(chosen)
    loss = _loss_of(chosen)
    chosen = merge(recipe_of(loss), chosen)
    method = find_method(chosen.get("method", {}).get("name") or None, loss, takes)
    encoder = find("encoder", chosen.get("encoder", {}).get("name") or default_encoder(takes, method))
    bases = pages_of("optimiser")
    names = [*bases, *(f"{CLIMBING}{name}" for name in bases)]
    optimizer = choose_folded("optimizer", chosen.get("optimizer", {}).get("name", "adamw"), names)
    base = optimizer.removeprefix(CLIMBING)

    settings = {
        "loss": {"name": loss.name, **OBJECTIVE, **_defaults(loss)},
        "add": {},
        "method": {"name": method.page.name, "views": None, **_defaults(method.page)},
        "heads": asdict(method.heads) if method.heads else {},
        "encoder": {"name": encoder.name, **_defaults(encoder)},
        "data": {"name": "digits"},
        "optimizer": {"name": optimizer, **_defaults(bases[base]), **asdict(LearningRate())},
        "train": asdict(Training()),
        "device": "cpu",
    }
    if optimizer != base:
        settings["optimizer"] |= _defaults(SAM.page)
    settings = copy.deepcopy(settings)
    for section, values in chosen.items():
        if section == "device":
            settings["device"] = str(values)
        elif section == "add":
            settings["add"] = _added(values)
        else:
            for name, value in values.items():
                if name not in settings[section] and section != "data":  # the reader of data knows its own
                    raise ConfigError(_no_such_setting(section, name, value, settings))
                if name != "name" or section == "data":
                    settings[section][name] = value
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
    loss = _loss_of(chosen)
    return dict(loss.variants[find_variant(loss, name)].settings)


def spelt_out(chosen):
    """The same settings with a name of the field (``simclr``, ``byol``) as what it stands for; what is chosen wins."""
    name = chosen.get("loss", {}).get("name")
    if name is None:
        return chosen
    stands_for = meant(name)
    base = {"loss": {}, "method": dict(stands_for.settings)}
    if stands_for.variant:
        base["loss"] = dict(find_loss(stands_for.loss).variants[stands_for.variant].settings)
    if stands_for.method:
        base["method"]["name"] = stands_for.method
    return merge({k: v for k, v in base.items() if v}, merge(chosen, {"loss": {"name": stands_for.loss}}))


def _loss_of(chosen):
    return find_loss(chosen.get("loss", {}).get("name") or default_loss(chosen.get("method", {}).get("name")))


def merge(base, over):
    """Nested dicts joined, ``over`` winning; neither is changed."""
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = merge(base[name], value) if both else value
    return merged


def _defaults(page):
    """{name: default} of the settings that a user may leave out: all but arrays, types and names of parameters."""
    others = ("dtype", "exclude", *(p.name for p in page.arrays))
    parameters = page.__signature__.parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in others}


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
    """Settings from a TOML file, or from a run's config.json; ConfigError names the file and the place of a mistake."""
    try:
        with open(path, "rb") as file:
            found = json.load(file) if str(path).endswith(".json") else tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        kind = "JSON" if str(path).endswith(".json") else "TOML"
        raise ConfigError(f"--config {path}: not {kind}: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"--config {path}: holds a {type(found).__name__}, expected sections as config.json has them")
    check_sections(found)
    return found


def _no_such_setting(section, name, value, settings):
    kind = settings[section].get("name")
    now = moved.SETTINGS.get(kind, {}).get(name) if section == "method" else None
    if now:
        return f"setting method.{name}: is {now[0]} now, expected --set {now[0]}={value}"
    if section == "heads" and not settings["heads"]:
        return f"setting heads.{name}: method {settings['method']['name']} has no heads"
    if section == "optimizer" and name in _defaults(SAM.page):
        return f"setting optimizer.{name}: no setting of {kind}, expected --optimizer sam:{kind}"
    owner = f"{section} {kind}" if kind else section
    return f"setting {section}.{name}: no such setting of {owner}{suggestion(name, settings[section])}"


def _added(chosen):
    """{loss: {"weight": w, settings...}} from ``{name: weight}`` or ``{name: {"weight": w, ...}}``."""
    added = {}
    for name, given in chosen.items():
        loss = find_loss(name)
        given = dict(given) if isinstance(given, dict) else {"weight": given}
        added[loss.name] = {"weight": 1.0, **_defaults(loss), **given}
    return added
