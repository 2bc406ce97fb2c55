"""`mini-repr landscape`: the loss around a run's weights."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Measure the loss around the weights of a run.")
@click.argument("run")
@click.option("--points", type=click.IntRange(3), default=15, help="On each side of the surface. Default: 15.")
@click.option("--reach", type=click.FloatRange(0, min_open=True), default=1.0, help="How far it goes. Default: 1.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the two directions. Default: 0.")
@click.option("--out", metavar="FILE.npz", help="Write the losses and the steps there.")
@click.option("--plot", metavar="FILE.png", help="Draw it too (extra plot).")
@plain_errors
def landscape(run, points, reach, seed, out, plot):
    """Measure the loss of a RUN (its folder) around its weights, along two filter-normalised random directions.

    \b
    mini-repr landscape runs/vicreg --out surface.npz --plot surface.png
    """
    import numpy as np

    from mini_repr.commands.settings import write
    from mini_repr.posthoc.loss_landscape import non_convex_share
    from mini_repr.training import evaluation, pictures

    if plot:
        pictures.figures()  # refuses, where it must, before the work
    steps = np.linspace(-reach, reach, points | 1)  # an odd number, so that the weights themselves are a point
    losses = evaluation.landscape(run, steps, seed)
    if out:
        write(out, {"losses": losses, "steps": steps})
    if plot:
        pictures.draw_landscape(losses, steps, plot)
    middle = len(steps) // 2
    click.echo(
        f"loss {losses[middle, middle]:.4f} at the weights, {losses.min():.4f} to {losses.max():.4f} around them"
    )
    click.echo(f"not convex at {non_convex_share(losses):.2f} of the points")
