"""`mini-repr train`: an encoder is trained, and compared with the untrained one."""

import sys

import click

from mini_repr.commands.errors import INTERRUPTED, plain_errors


def train_options(command):
    """The flags of `train`; each is a short name for one setting, see `settings_from_flags`."""
    options = [
        click.option("--loss", metavar="NAME", help="The loss; `mini-repr list --losses` names them."),
        click.option(
            "--variant", metavar="NAME", help="A named variant of the loss; `mini-repr show LOSS` lists them."
        ),
        click.option(
            "--add",
            multiple=True,
            metavar="NAME=WEIGHT",
            help="Add a regulariser or another loss of the kind; repeatable.",
        ),
        click.option(
            "--data",
            metavar="NAME|PATH",
            help="A name of `mini-repr list --data`, a file or folder of images, pairs of texts (.tsv, .csv, "
            ".jsonl), or texts (.txt). Default: digits.",
        ),
        click.option(
            "--encoder",
            metavar="NAME",
            help="`mini-repr list --encoders` names them. Default: vit for images, text for texts.",
        ),
        click.option(
            "--method",
            metavar="NAME",
            help="`mini-repr list --methods` names them. Default: what the loss compares decides.",
        ),
        click.option("--views", metavar="LIST", help="Augmentations, such as shift=1,rotate=15,noise=0.05."),
        click.option("--matryoshka", metavar="LIST", help="Compare the first 8,16,... columns too: nested dimensions."),
        click.option("--reweight", metavar="NAME", help="Weigh rows by their loss: linupper, quadratic or extremes."),
        click.option(
            "--optimizer",
            metavar="NAME",
            help="adamw or sgd; sam:adamw or sam:sgd for sharpness-aware steps. Default: adamw.",
        ),
        click.option("--rho", type=float, help="Radius of a sharpness-aware step. Default: 0.05."),
        click.option("--lr", type=float, help="Peak learning rate."),
        click.option("--epochs", type=int, help="Passes over the data. Default: 100."),
        click.option("--batch-size", type=int, help="Rows a step. Default: 128."),
        click.option("--grad-cache", type=int, metavar="CHUNK", help="Encode CHUNK rows at once. Default: the batch."),
        click.option("--seed", type=int, help="Seed of weights, views and order. Default: 0."),
        click.option("--device", metavar="NAME", help="cpu, gpu, gpu:N or auto. Default: cpu."),
        click.option("--config", "config_file", metavar="FILE", help="Settings from a TOML file, or a config.json."),
        click.option(
            "--set", "assignments", multiple=True, metavar="SECTION.NAME=VALUE", help="Any setting; repeatable."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


FLAGS = {
    "loss": ("loss", "name"),
    "data": ("data", "name"),
    "reweight": ("loss", "reweight"),
    "encoder": ("encoder", "name"),
    "method": ("method", "name"),
    "views": ("method", "views"),
    "optimizer": ("optimizer", "name"),
    "lr": ("optimizer", "lr"),
    "rho": ("optimizer", "rho"),
    "epochs": ("train", "epochs"),
    "batch_size": ("train", "batch_size"),
    "grad_cache": ("train", "grad_cache"),
    "seed": ("train", "seed"),
}


def settings_from_flags(flags, variant, add, config_file, assignments, device):
    """The nested settings that the user chose: the file, then the short flags, then --set."""
    from mini_repr.training import config

    chosen = config.read_file(config_file) if config_file else {}
    for flag, (section, name) in FLAGS.items():
        if flags[flag] is not None:
            chosen = config.merge(chosen, {section: {name: flags[flag]}})
    chosen = config.spelt_out(chosen)
    if variant is not None:
        chosen = config.merge(chosen, {"loss": config.variant_settings(chosen, variant)})
    if flags["matryoshka"] is not None:
        columns = [config.parse_value(text) for text in flags["matryoshka"].split(",")]
        chosen = config.merge(chosen, {"loss": {"matryoshka": columns}})
    added = [text.partition("=") for text in add]
    for name, equals, weight in added:
        if not name or sum(name == other for other, _, _ in added) > 1:
            raise click.UsageError(f"--add {name}{equals}{weight}: expected NAME=WEIGHT, each name once")
        chosen = config.merge(chosen, {"add": {name: config.parse_value(weight) if equals else 1.0}})
    if device is not None:
        chosen = config.merge(chosen, {"device": device})
    for text in assignments:
        chosen = config.merge(chosen, config.parse_assignment(text))
    return chosen


@click.command(short_help="Train an encoder, and compare it with the untrained one.")
@train_options
@click.option("--out", metavar="FOLDER", help="Run folder. Default: the next free runs/LOSS-DATA-NNN.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with its own settings.")
@click.option("--init-from", metavar="RUN", help="Start a new run from another run's weights, or from its encoder.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@click.option(
    "--seeds",
    metavar="N|LIST",
    help="Several runs, in OUT-1, OUT-2, ...: N, of seed --seed and the next, or of the seeds 0,1,2.",
)
@plain_errors
def train(out, resume, init_from, overwrite, seeds, variant, add, config_file, assignments, device, **flags):
    """Train an encoder and compare it with the same encoder untrained and with the raw pixels.

    \b
    mini-repr train --loss infonce
    mini-repr train --loss vicreg --encoder mlp --epochs 20 --out runs/vicreg
    mini-repr train --loss infonce --variant nt_xent --add uniformity=0.5
    mini-repr train --loss infonce --set loss.temperature=0.1
    mini-repr train --resume --out runs/vicreg
    mini-repr train --loss vicreg --seeds 5 --out runs/many
    mpiexec -n 4 mini-repr train --loss infonce --batch-size 512
    """
    from mini_repr.training.distributed import joined

    with joined() as world:
        chosen = settings_from_flags(flags, variant, add, config_file, assignments, device)
        if resume and (overwrite or init_from):
            raise click.UsageError("--resume goes on with a run as it is: leave out --overwrite and --init-from")
        if resume and out is None:
            raise click.UsageError("--resume needs --out FOLDER, the run to go on with")
        if seeds is None:
            _train(world, chosen, out, resume, overwrite, init_from)
        elif resume or out is None:
            raise click.UsageError("--seeds needs --out FOLDER and starts new runs: leave out --resume")
        else:
            seeds = _listed(seeds, chosen.get("train", {}).get("seed", 0))
            _train_seeds(world, chosen, out, seeds, overwrite, init_from)


def _listed(text, first):
    """The seeds of ``--seeds``: as many as it says, from ``first`` on, or those that it lists."""
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words) or (words == [text] and int(text) < 2):
        raise click.UsageError(f"--seeds {text}: expected how many, 2 or more, or a list such as 0,1,2")
    seeds = [int(word) for word in words] if words[1:] else [first + number for number in range(int(text))]
    if len(set(seeds)) < len(seeds):
        raise click.UsageError(f"--seeds {text}: expected each seed once")
    return seeds


def _train_seeds(world, chosen, out, seeds, overwrite, init_from):
    """Runs that differ by their seed alone, one after the other, and what they have in common."""
    from mini_repr.training.comparison import compared
    from mini_repr.training.folder import refuse_taken_folder

    places = [f"{out}-{number}" for number in range(1, len(seeds) + 1)]
    for place in places if world.is_first else ():  # before the first of them takes its time
        refuse_taken_folder(place, overwrite)
    for seed, place in zip(seeds, places, strict=True):
        own = {**chosen, "train": {**chosen.get("train", {}), "seed": seed}}
        _train(world, own, place, False, overwrite, init_from)
    if world.is_first:
        click.echo(f"\nMean and standard deviation over {len(seeds)} seeds:\n{compared(places)}")


def _train(world, chosen, out, resume, overwrite, init_from):
    from mini_repr.training import session

    if resume:
        run, folder = session.resume(out, chosen, world)
    else:
        run, folder = session.start(chosen, out, overwrite, init_from, world)
    if not world.is_first:  # of several ranks the first speaks, and evaluates
        for _ in session.remaining_epochs(run, folder):
            pass
        return
    try:
        _train_and_report(session, run, folder, resume)
    finally:
        folder.close()


def _train_and_report(session, run, folder, resume):
    click.echo(session.headline(run, folder))
    report = session.stored_report(run, folder)
    if report is not None:
        click.echo(f"Trained before to the last epoch, {run.epoch}: nothing was left to train")
    else:
        try:
            _train_with_bar(session, run, folder)
        except KeyboardInterrupt:
            click.echo(
                f"\nStopped at epoch {run.epoch}. Go on with: mini-repr train --resume --out {folder.path}", err=True
            )
            sys.exit(INTERRUPTED)
        except (ValueError, MemoryError):  # settings that only the first batch could refuse: nothing was trained
            if not resume and run.epoch == 0:
                folder.remove()
            raise
        report = session.finish(run, folder)
    click.echo(session.table(report))
    click.echo(f"Run folder: {folder.path}")


def _train_with_bar(session, run, folder):
    record = None
    epochs = session.remaining_epochs(run, folder)
    total = run.settings["train"]["epochs"]
    if not sys.stderr.isatty():
        for record in epochs:
            click.echo(session.line(record, total), err=True)
        _warn(session, record)
        return
    with click.progressbar(
        epochs,
        length=total - run.epoch,
        label=run.settings["loss"]["name"],
        width=0,  # what the terminal leaves it: a longer line would be wrapped, and written anew below itself
        show_eta=True,
        item_show_func=lambda record: record and session.short_line(record),
        file=sys.stderr,
    ) as bar:
        for record in bar:  # noqa: B007  (the last one is looked at)
            pass
    _warn(session, record)


def _warn(session, record):
    """Say on stderr that the rows of the last epoch have collapsed, if they have."""
    if record and (warning := session.collapse(record)):
        click.echo(warning, err=True)
