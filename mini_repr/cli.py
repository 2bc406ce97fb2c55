"""The command line: parse, call, print. Numerical modules are imported inside the commands, so that help is instant."""

import functools
import json
import shutil
import sys
from pathlib import Path

import click

import mini_repr
from mini_repr.conformance import commands as conformance_commands

WRONG_USE = 2


def plain_errors(command):
    """Turn a user's mistake into one line and exit code 2, and a diverged run into one line and exit code 1."""

    @functools.wraps(command)
    def guarded(*args, **params):
        try:
            return command(*args, **params)
        except (ValueError, OSError) as error:
            _fail(error, WRONG_USE)
        except RuntimeError as error:
            from mini_repr.training.run import Diverged

            if not isinstance(error, Diverged):
                raise
            _fail(error, 1)

    return guarded


def _fail(error, code):
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    click.echo(f"Error: {' '.join(text.split())}", err=True)
    sys.exit(code)


class NearestName(click.Group):
    """A group that answers an unknown command with the nearest known one."""

    def resolve_command(self, ctx, args):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near:
                error.message += f" Did you mean {near[0]!r}?"
            raise


@click.group(cls=NearestName, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mini_repr.__version__, "--version", prog_name="mini-repr")
def main():
    """Representation learning, each loss one readable page with a hand-derived gradient.

    \b
    mini-repr train --loss infonce            train on the embedded digits, about a minute
    mini-repr show infonce                    read the page of a loss
    mini-repr list                            what there is
    mini-repr losses value infonce --input arrays.npz
    mini-repr check mine.py:nt_xent --against infonce --variant nt_xent
    """


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
            help="digits, glosses, a file or folder of images, or pairs of texts (.tsv, .jsonl). Default: digits.",
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
        click.option("--config", "config_file", metavar="FILE", help="Settings from a TOML file."),
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


@main.command(short_help="Train an encoder, and compare it with the untrained one.")
@train_options
@click.option("--out", metavar="FOLDER", help="Run folder. Default: the next free runs/LOSS-DATA-NNN.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with its own settings.")
@click.option("--init-from", metavar="RUN", help="Start a new run from another run's weights, or from its encoder.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@plain_errors
def train(out, resume, init_from, overwrite, variant, add, config_file, assignments, device, **flags):
    """Train an encoder and compare it with the same encoder untrained and with the raw pixels.

    \b
    mini-repr train --loss infonce
    mini-repr train --loss vicreg --encoder mlp --epochs 20 --out runs/vicreg
    mini-repr train --loss infonce --variant nt_xent --set loss.temperature=0.1 --add uniformity=0.5
    mini-repr train --resume --out runs/vicreg
    mpiexec -n 4 mini-repr train --loss infonce --batch-size 512
    """
    from mini_repr.training.distributed import joined

    with joined() as world:
        chosen = settings_from_flags(flags, variant, add, config_file, assignments, device)
        if resume and (overwrite or init_from):
            raise click.UsageError("--resume goes on with a run as it is: leave out --overwrite and --init-from")
        if resume and out is None:
            raise click.UsageError("--resume needs --out FOLDER, the run to go on with")
        _train(world, chosen, out, resume, overwrite, init_from)


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
    click.echo(session.headline(run, folder))
    try:
        _train_with_bar(session, run, folder)
    except KeyboardInterrupt:
        click.echo(
            f"\nStopped at epoch {run.epoch}. Go on with: mini-repr train --resume --out {folder.path}", err=True
        )
        sys.exit(130)
    except ValueError:  # settings that only the first batch could refuse: nothing was trained
        if not resume and run.epoch == 0:
            folder.remove()
        raise
    report = session.finish(run, folder)
    click.echo(session.table(report))
    click.echo(f"Run folder: {folder.path}")


def _train_with_bar(session, run, folder):
    epochs = session.remaining_epochs(run, folder)
    total = run.settings["train"]["epochs"]
    with click.progressbar(
        epochs,
        length=total - run.epoch,
        label=run.settings["loss"]["name"],
        width=0,  # what the terminal leaves it: a longer line would be wrapped, and written anew below itself
        show_eta=True,
        item_show_func=lambda record: record and session.short_line(record),
        file=sys.stderr,
    ) as bar:
        for record in bar:
            if not sys.stderr.isatty():
                click.echo(session.line(record, total))


@main.command("eval", short_help="Print the comparison table of a run, or that of its layers.")
@click.argument("run")
@click.option("--data", metavar="NAME|PATH", help="Other data than the run was trained on.")
@click.option("--device", default=None, metavar="NAME", help="cpu, gpu, gpu:N or auto. Default: the run's.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option("--layers", is_flag=True, help="Measure every layer of the encoder instead: is the last one the best?")
@click.option("--plot", metavar="FILE.png", help="With --layers: draw it too (extra plot).")
@plain_errors
def evaluate(run, data, device, as_json, layers, plot):
    """Print the comparison table of a finished or interrupted RUN (its folder).

    \b
    mini-repr eval runs/infonce-digits-001
    mini-repr eval runs/infonce-digits-001 --json
    mini-repr eval runs/infonce-digits-001 --layers
    """
    from mini_repr.training import session

    if plot and not layers:
        raise click.UsageError("--plot draws what --layers measures: give both")
    if plot:
        session.figures()  # refuses, where it must, before the work
    report = session.evaluate_layers(run, data, device) if layers else session.evaluate(run, data, device)
    if plot:
        session.draw_layers(report, plot)
    click.echo(json.dumps(report, indent=2) if as_json else session.table(report))


@main.command(short_help="Write the embeddings of a data set by a run.")
@click.argument("run")
@click.option("--data", metavar="NAME|PATH", help="Default: the data the run was trained on.")
@click.option("--out", required=True, metavar="FILE.npz", help="Where the embeddings go; must not exist.")
@click.option("--device", default=None, metavar="NAME", help="cpu, gpu, gpu:N or auto. Default: the run's.")
@plain_errors
def embed(run, data, out, device):
    """Write a trained RUN's embeddings of a data set: z (a and b of pairs), labels, and which rows are test rows.

    \b
    mini-repr embed runs/infonce-digits-001 --data digits --out emb.npz
    """
    from mini_repr.training import session

    shapes = session.embed(run, data, out, device)
    click.echo(f"{out}: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}, labels, is_test")


@main.command()
@click.argument("source", metavar="FILE.npz")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@plain_errors
def metrics(source, as_json):
    """Every metric that applies to the arrays in FILE.npz.

    Their names: z or a and b (rows), labels, is_test (the probes learn from the other rows); queries, candidates and
    relevance; tokens and mask.

    \b
    mini-repr embed runs/infonce-digits-001 --out emb.npz && mini-repr metrics emb.npz
    """
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.metrics.saved import metrics_of_arrays

    numbers, failed = metrics_of_arrays(read_arrays(source), source)
    if as_json:
        click.echo(json.dumps(numbers, indent=2))
    else:
        width = max(map(len, numbers), default=0)
        click.echo("\n".join(f"{name.ljust(width)}  {value:.4f}" for name, value in numbers.items()))
    for name, reason in failed.items():
        click.echo(f"not computed: {name}: {reason.removeprefix(f'{name}: ')}", err=True)
    if not numbers:
        sys.exit(WRONG_USE)


@main.command("list")
@click.option("--losses", "kind", flag_value="losses", help="Only the losses.")
@click.option("--papers", "kind", flag_value="papers", help="Only the papers, with their status.")
@click.option("--metrics", "kind", flag_value="metrics", help="Only the metrics.")
@click.option("--encoders", "kind", flag_value="encoders", help="Only the encoders.")
@click.option("--methods", "kind", flag_value="methods", help="Only the methods.")
@click.option("--claims", "kind", flag_value="claims", help="Only the claims: one small experiment a paper.")
@plain_errors
def list_everything(kind):
    """List losses, methods, encoders, metrics, papers and claims.

    \b
    mini-repr list --losses
    mini-repr list --papers
    """
    from mini_repr import listing

    click.echo(listing.everything(kind, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))


@main.command(short_help="Show the page of a loss, metric, method, encoder or paper.")
@click.argument("name")
@click.option("--code/--no-code", default=True, help="Show the code under the page's text. Default: show it.")
@plain_errors
def show(name, code):
    """Show the page of a loss: paper, definition, gradient, shapes, variants, code.

    NAME may also be a metric, a method, an encoder, or a paper (its key or number).

    \b
    mini-repr show infonce
    mini-repr show siamese --no-code
    mini-repr show 092
    """
    from mini_repr import listing

    click.echo(listing.page(name, code))


@main.command(short_help="Run the small experiment of a paper, with a verdict.")
@click.argument("key")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds. Default: what the claim asks for.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--out", metavar="FILE.json", help="Write the result there too.")
@plain_errors
def claim(key, seeds, as_json, out):
    """Run the small experiment of paper KEY over several seeds, and say whether its claim holds here.

    \b
    mini-repr claim simsiam
    mini-repr claim 067 --seeds 5 --json
    """
    from mini_repr.claims.bench.claim import run, table
    from mini_repr.claims.bench.keys import find_claim
    from mini_repr.training.folder import RunFolder

    def watch(seed):
        click.echo(f"{key}: seed {seed}", err=True)

    experiment = find_claim(key)
    if out and (not Path(out).parent.is_dir() or Path(out).is_dir()):  # no news for minutes later
        raise ValueError(
            f"--out {out}: is a folder" if Path(out).is_dir() else f"--out {out}: no folder {Path(out).parent}"
        )
    result = run(experiment, seeds, watch)
    if out:
        RunFolder(Path(out).parent).write_json(Path(out).name, result)
    click.echo(json.dumps(result, indent=2) if as_json else table(result))


@main.group()
def losses():
    """Evaluate losses on your own arrays."""


@losses.command()
@click.argument("name")
@click.option("--input", "source", required=True, metavar="FILE.npz", help="Arrays named as the loss's arguments.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of the loss; repeatable.")
@click.option("--variant", metavar="NAME", help="A named variant of the loss; see `mini-repr show NAME`.")
@click.option("--out", metavar="FILE.npz", help="Write value and gradients there.")
@click.option("--json", "as_json", is_flag=True, help="Print value and gradients as JSON.")
@plain_errors
def value(name, source, assignments, variant, out, as_json):
    """Value and gradients of loss NAME on arrays from a file.

    \b
    mini-repr losses value infonce --input arrays.npz --set temperature=0.2
    mini-repr losses value infonce --input arrays.npz --variant nt_xent --out gradients.npz
    """
    from mini_repr import values

    result = values.loss_on_file(name, source, assignments, variant)
    if out:
        values.write_result(result, out)
    click.echo(values.result_text(result, as_json))


conformance_commands.attach(main, plain_errors)


if __name__ == "__main__":
    main()
