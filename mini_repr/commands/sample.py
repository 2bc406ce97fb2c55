"""`mini-repr sample`: images that a run of flow matching draws from noise."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Draw images from noise by a run of flow matching.")
@click.argument("run")
@click.option(
    "--out", required=True, metavar="FILE", help="A picture by its suffix, .png or .svg (extra plot), or arrays, .npz."
)
@click.option("--count", type=click.IntRange(1, 10_000), default=20, help="How many images. Default: 20.")
@click.option("--label", metavar="NAME", help="One class for all. Default: every class in turn.")
@click.option("--steps", type=click.IntRange(1, 10_000), default=25, help="From noise to image. Default: 25.")
@click.option("--guidance", type=float, default=1.0, help="How far beyond what the label says; 1, the default: as far.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the noise. Default: 0.")
@click.option("--device", default=None, metavar="NAME", help="cpu, gpu, gpu:N or auto. Default: the run's.")
@plain_errors
def sample(run, out, count, label, steps, guidance, seed, device):
    """Draw images from noise by a RUN of method flow.

    \b
    mini-repr train --method flow --out runs/flow
    mini-repr sample runs/flow --out digits.png
    mini-repr sample runs/flow --label 7 --guidance 2 --out sevens.npz

    An npz file holds images (N, C, H, W) in [0, 1] and, where the run knows classes, their names.
    """
    import numpy as np

    from mini_repr.training import session
    from mini_repr.training.folder import writing

    arrays = out.endswith(".npz")
    if not arrays:
        session.figures()  # refuses, where it must, before the work
    run, _ = session.opened(run, device=device)
    images, names = session.drawn_images(run, count, label, steps, guidance, seed)
    if arrays:
        named = {"names": np.array(names)} if names else {}
        with writing(out), open(out, "wb") as file:
            np.savez(file, images=images, **named)
    else:
        with writing(out):
            session.draw_samples(images, names, out)
    click.echo(f"{out}: {count} images {' x '.join(map(str, images.shape[1:]))}, {steps} steps, guidance {guidance:g}")
