"""What had another name in earlier versions, settings and arrays of a checkpoint, and where it is now."""

from mini_repr.data import options_of

_HEADS = {name: (f"heads.{name}",) for name in ("hidden", "dimensions", "layers", "batch_norm", "predictor_hidden")}

# {method: {its setting method.NAME of old: the settings that hold it now}}; no settings where it had no effect.
SETTINGS = {
    **dict.fromkeys(("simclr", "simsiam", "momentum", "neighbours", "metric_learning"), _HEADS),
    "continual": {**_HEADS, "hidden": ("heads.hidden", "heads.predictor_hidden")},
    "classifier": dict.fromkeys((*_HEADS, "relu"), ()),
}
# {how the name of an array began: how it begins now}
ARRAYS = {"method/keepers.": "method/loss_states."}


def from_older_run(settings, method):
    """The settings of a run in today's names; those that are so already stay.

    Args:
        method: today's name of its method.
    """
    sections = {name: dict(own) if isinstance(own, dict) else own for name, own in settings.items()}
    for name in SETTINGS.get(method, {}).keys() & sections["method"].keys():
        value = sections["method"].pop(name)
        for place in SETTINGS[method][name]:
            section, _, setting = place.partition(".")
            sections.setdefault(section, {})[setting] = value
    return sections


def data_of_older_run(own):
    """The settings ``data.*`` of a run: those that do not say how files were split counted rows as they stood.

    Raises:
        ValueError: the data are not there.
    """
    return {"split": "rows", **own} if "split" in options_of(own.get("name", "digits")) else own


def arrays_of_older_run(arrays):
    """The arrays of a checkpoint {name: array} in today's names."""
    for old, new in ARRAYS.items():
        arrays = {name.replace(old, new, 1): array for name, array in arrays.items()}
    return arrays
