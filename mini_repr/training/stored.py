"""A run that lies in a folder: its settings in today's names, and its data."""

import numpy as np

from mini_repr.data import load
from mini_repr.methods.build import build_encoder, find_method, kind_of
from mini_repr.pages.names import find_loss
from mini_repr.training import checkpoint, config, folder
from mini_repr.training.distributed import ALONE
from mini_repr.training.moved import data_of_older_run, from_older_run


def open_folder(path, world=ALONE):
    """The folder of an existing run; of several ranks only the first looks into it."""
    return folder.open_run(path) if world.is_first else folder.Onlooker(path)


def load_data(chosen):
    """The data set that the settings ``data.*`` name.

    Raises:
        ValueError: it cannot be read, or holds what no run trains on.
    """
    options = {name: value for name, value in chosen.items() if name != "name"}
    data = load(chosen.get("name", "digits"), **options)
    if kind_of(data) == "rows":
        raise ValueError(f"data {data.name}: holds plain rows; runs train on images or on texts")
    if data.train.labels is not None:
        missing = sorted(set(data.test.labels.tolist()) - set(data.train.labels.tolist()))
        if missing:
            texts = "; if they are no classes, add a header line and --set data.columns=a,b"
            raise ValueError(
                f"data {data.name}: classes without a training row: {len(missing)} of the test part, the first "
                f"{data.test.label_names[missing[0]]!r:.40}; shuffle the rows, or give both parts"
                + (texts if kind_of(data) == "texts" else "")
            )
    return data


def stored_settings(home, world=ALONE):
    """(the settings of the run in a folder, its data), also of a run by an earlier version: see ``moved.py``.

    Raises:
        ValueError: settings that no run of this version can have; names the version that wrote them.
    """
    settings = world.from_first(home.read_json(folder.CONFIG) if world.is_first else None)
    settings["data"] = data_of_older_run(settings["data"])
    data = load_data(settings["data"])
    try:
        loss = find_loss(settings["loss"].get("name"))
        method = find_method(settings["method"].get("name"), loss, kind_of(data))
        return config.resolve(from_older_run(settings, method.page.name), kind_of(data)), data
    except ValueError as error:
        raise folder.RunError(f"{home / folder.CONFIG}: {error}{home.other_version()}") from None


def stored_encoder(path, world=ALONE):
    """The trained encoder of the run in a folder, on the host.

    Raises:
        ValueError: no run there, or a damaged one.
    """
    home = open_folder(path, world)
    settings, data = stored_settings(home, world)
    arrays, _ = world.from_first(checkpoint.load(home / folder.CHECKPOINT) if world.is_first else None)
    encoder, prefix = build_encoder(settings, data, np.random.default_rng(0)), "method/encoder."
    encoder.load_state_dict({n.removeprefix(prefix): x for n, x in arrays.items() if n.startswith(prefix)})
    return encoder
