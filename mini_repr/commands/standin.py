"""`mini-repr standin`: the small models that stand for large pretrained ones, trained here and kept on this machine."""

import click

from mini_repr.commands.errors import plain_errors


@click.group(short_help="Small models that stand for large pretrained ones.")
def standin():
    """Train and list the small models that stand for large pretrained ones."""


@standin.command("list")
@plain_errors
def list_standins():
    """Every stand-in: what it stands for, about how long it trains, and where it is kept, if it is."""
    from mini_repr.standins.store import STANDINS, place_of

    for name, one in STANDINS.items():
        path = place_of(name)
        kept = f"kept, {path.stat().st_size:,} bytes:" if path.exists() else "not trained yet; would be"
        click.echo(f"{name}: {one.says}\n  about {one.seconds} s on one core; {kept}\n  {path}")


@standin.command("train")
@click.argument("name")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of its data and weights. Default: 0.")
@click.option("--path", metavar="FOLDER", help="Keep it there. Default: $MINI_REPR_STANDINS, or the user's caches.")
@plain_errors
def train_standin(name, seed, path):
    """Train stand-in NAME, keep it, and print what it can do beside what it must.

    \b
    mini-repr standin train spotter
    mini-repr standin train scenes-flow --seed 1
    """
    from mini_repr.standins.store import gates, train

    def watch(step, of, loss):
        if step % max(1, of // 10) == 0:
            click.echo(f"step {step}/{of}  loss {loss:.4f}", err=True)

    _, kept = train(name, seed, within=path, watch=watch, tell=lambda text: click.echo(text, err=True))
    if kept is None:
        return
    for what, (value, least) in gates(name, seed, path).items():
        needed = "" if least is None else f"  {'enough' if value >= least else 'NOT ENOUGH'}: at least {least:g}"
        click.echo(f"{what.ljust(24)} {value:.3f}{needed}")
