"""Start a run or resume it, and train it to the end; also the one place where the commands find all about runs."""

from pathlib import Path

from mini_repr.data import default_views, options_of
from mini_repr.methods import encoded_kind, kind_of
from mini_repr.methods.build import find_method
from mini_repr.pages.names import find, find_loss
from mini_repr.pages.tables import UNFOLDED
from mini_repr.training import config, folder
from mini_repr.training.distributed import ALONE
from mini_repr.training.evaluation import (  # noqa: F401
    compare,
    drawn_images,
    embed,
    evaluate_layers,
    neighbours_of,
    opened,
    rebuilt_images,
    topics_of,
)
from mini_repr.training.lines import collapse, facts_of, headline, line, short_line  # noqa: F401
from mini_repr.training.pictures import draw_layers, draw_rebuilt, draw_samples, figures  # noqa: F401
from mini_repr.training.run import Run
from mini_repr.training.stored import load_data, open_folder, stored_settings
from mini_repr.training.table import table

PICTURED = 20  # images of a picture of what a run draws


def start(chosen, out=None, overwrite=False, init_from=None, world=ALONE):
    """A new run: (run, its folder), with config.json and env.json written and nothing trained.

    On several ranks each has its own run, and the first rank has the folder: the others read and write nothing there.

    Raises:
        ValueError: a wrong setting, data that cannot be read, or a folder that is taken.
    """
    settings, data = prepare(chosen)
    backend = world.device(settings["device"])
    source = open_folder(init_from, world) if init_from else None
    run = Run(settings, data, backend, world)
    if source:
        run.start_from(source)
    if world.is_first:
        stem = f"{settings['loss']['name']}-{Path(data.name).stem}"
        home = folder.create(out or folder.free_folder(stem), overwrite)
    else:
        home = folder.Onlooker(out or "")
    environment = {**folder.environment(backend, settings["train"]["seed"]), "ranks": world.size}
    facts = " ".join(f"{name}={value}" for name, value in facts_of(run).items())
    try:
        home.write_json(folder.CONFIG, settings)
        home.write_json(folder.ENVIRONMENT, environment)
        home.log(f"start {facts}{run.origin}")
        _log_sharding(run, home)
        run.save(home)
        home.take_place()
    except BaseException:
        home.remove()
        raise
    return run, home


def prepare(chosen, data=None):
    """Every setting of a new run from the few that were chosen, and its data: (settings, Dataset).

    Args:
        data: a Dataset in place of the one that the settings name.
    Raises:
        ValueError: a wrong setting, or data that cannot be read or trained on.
    """
    config.check_sections(chosen)
    if data is None:
        data = load_data(chosen.get("data", {}))
        own = {"name": "digits", **chosen.get("data", {})}
        chosen = {**chosen, "data": options_of(own["name"], own) | own}
    settings = config.resolve(chosen, kind_of(data))
    if kind_of(data) != "images" and settings["method"]["views"] is not None:
        held = "images with captions" if kind_of(data) == "captions" else encoded_kind(data)
        raise config.ConfigError(f"views: got {settings['method']['views']!r}, expected none: {data.name} holds {held}")
    if kind_of(data) == "images" and settings["method"]["views"] is None:
        own = find("method", settings["method"]["name"]).thing.default_views
        settings["method"]["views"] = default_views(data.train.images) if own is None else own
    if settings["train"]["knn_every"] and (kind_of(data) in ("texts", "captions") or data.train.labels is None):
        raise config.ConfigError(
            f"setting train.knn_every: got {settings['train']['knn_every']}, expected 0: {data.name} has no labels of "
            "single rows"
        )
    if settings["train"]["sample_every"] and not hasattr(find("method", settings["method"]["name"]).thing, "draw"):
        raise config.ConfigError(
            f"setting train.sample_every: got {settings['train']['sample_every']}, expected 0: method "
            f"{settings['method']['name']} draws no images, only flow does"
        )
    _refuse_pictures_without_their_extra(settings)
    return settings, data


def _refuse_pictures_without_their_extra(settings):
    if settings["train"]["sample_every"]:
        figures()


def resume(out, chosen, world=ALONE):
    """Go on with the run in a folder: (run, folder), at its last checkpoint, on any number of ranks.

    Raises:
        ValueError: no run there, another process trains into it, a damaged checkpoint, or a chosen setting that differs
            from the run's.
    """
    home = open_folder(out, world)
    home.lock()
    try:
        settings, data = stored_settings(home, world)
        _refuse_other_settings(out, settings, chosen, kind_of(data))
        _refuse_pictures_without_their_extra(settings)
        settings["device"] = chosen.get("device", settings["device"])
        run = Run(settings, data, world.device(settings["device"]), world)
        run.restore(home)
        home.forget_epochs_after(run.epoch)
        home.log(f"resume at epoch {run.epoch} on {run.backend.name}")
        _log_sharding(run, home)
    except BaseException:
        home.close()
        raise
    return run, home


def _log_sharding(run, home):
    if run.sharding.describe():
        home.log(run.sharding.describe())


def _refuse_other_settings(out, settings, chosen, takes):
    if "name" in chosen.get("method", {}):  # an alias, such as siamese, stands for the method that trains the loss
        name = find_method(chosen["method"]["name"], find_loss(settings["loss"]["name"]), takes).page.name
        chosen = config.merge(chosen, {"method": {"name": name}})
    for section, values in chosen.items():
        if section == "device":
            continue
        for name, value in values.items():
            before = settings.get(section, {}).get(name)
            if value != before and not (section == "add" and (before or {}).get("weight") == value):
                raise config.ConfigError(
                    f"--resume --out {out}: the run has {section}.{name} = {before!r}, not {value!r}; leave the "
                    f"setting out, or start a new run from these weights with --init-from {out}"
                )


def remaining_epochs(run, home):
    """Train to the end, an epoch at a time: log it, save the checkpoint, hand over its record."""
    train = run.settings["train"]

    def due(name):
        return train[name] and run.epoch % train[name] == 0 and run.world.is_first

    while not run.finished:
        record = run.train_epoch()
        if due("knn_every"):
            record |= neighbours_of(run)
        if due("sample_every"):
            path = home / f"samples-{run.epoch:04d}.png"
            with folder.writing(path):
                draw_samples(*drawn_images(run, PICTURED), path)
        home.append_epoch(record)
        home.log(line(record, train["epochs"]))
        run.save(home)
        yield record


def finish(run, home):
    """Compare trained, untrained and raw; write metrics.json; return {representation: {metric: number}}."""
    scores = compare(run)
    home.write_json(folder.REPORT, scores)
    home.log("done\n" + table(scores, UNFOLDED))
    home.close()
    return scores


def stored_report(run, home):
    """The table of a finished run as its folder has it; None where there is more to do."""
    done = run.finished and (home / folder.REPORT).exists()
    return home.read_json(folder.REPORT) if done else None
