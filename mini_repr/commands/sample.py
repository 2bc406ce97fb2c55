"""`mini-repr sample`: images drawn from noise, by a run of flow matching or by the stand-in that reads captions."""

import click

from mini_repr.commands.errors import plain_errors

STANDIN = "scenes-flow"


@click.command(short_help="Draw images from noise by a run of flow matching, or from a caption.")
@click.argument("run", metavar="RUN|scenes-flow")
@click.option(
    "--out", required=True, metavar="FILE", help="A picture by its suffix, .png or .svg (extra plot), or arrays, .npz."
)
@click.option("--count", type=click.IntRange(1, 10_000), default=20, help="How many images. Default: 20.")
@click.option("--label", metavar="NAME", help="One class for all. Default: every class in turn.")
@click.option("--caption", metavar="TEXT", help="Of scenes-flow: what to draw.")
@click.option("--follow", is_flag=True, help="Of scenes-flow: follow what the caption asks of attention maps.")
@click.option("--steps", type=click.IntRange(1, 10_000), default=25, help="From noise to image. Default: 25.")
@click.option("--guidance", type=float, help="How far beyond what label or caption say. Default: 1; scenes-flow 2.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the noise. Default: 0.")
@click.option("--device", default=None, metavar="NAME", help="cpu, gpu, gpu:N or auto. Default: the run's.")
@plain_errors
def sample(run, out, count, label, caption, follow, steps, guidance, seed, device):
    """Draw images from noise by a RUN of method flow, or by scenes-flow, which reads captions of scenes.

    \b
    mini-repr train --method flow --out runs/flow
    mini-repr sample runs/flow --out digits.png
    mini-repr sample runs/flow --label 7 --guidance 2 --out sevens.npz
    mini-repr sample scenes-flow --caption "a seven" --follow --out scenes.png

    An npz file holds images (N, C, H, W) in [0, 1] and, where the run knows classes, their names. scenes-flow is
    trained when it is first asked for, in some minutes; mini-repr standin list says where it is kept.
    """
    import numpy as np

    from mini_repr.training import session
    from mini_repr.training.folder import writing

    arrays = out.endswith(".npz")
    if not arrays:
        session.figures()  # refuses, where it must, before the work
    if run == STANDIN:
        if label or device:
            raise ValueError(f"sample {STANDIN}: --label and --device are for runs, expected --caption TEXT")
        if not caption:
            raise ValueError(f'sample {STANDIN}: expected --caption TEXT, such as "a seven left of a two"')
        guidance = 2.0 if guidance is None else guidance
        images, names = _of_caption(caption, follow, count, steps, guidance, seed), ()
    else:
        if caption or follow:
            raise ValueError(f"sample {run}: --caption and --follow are for {STANDIN}, leave them out")
        guidance = 1.0 if guidance is None else guidance
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


def _of_caption(caption, follow, count, steps, guidance, seed):
    """Images (count, 1, 16, 16) of one caption, by the stand-in that reads captions."""
    import numpy as np

    from mini_repr.data.generated.scenes import parse
    from mini_repr.methods.map_guidance import guided_by_maps
    from mini_repr.standins import get, scenes_flow

    parse(caption)  # refuses what is none, before a stand-in is trained
    denoiser, captions = get(STANDIN), [caption] * count
    noise = np.random.default_rng(seed).standard_normal((count, *scenes_flow.SHAPE), dtype=np.float32)
    hook = guided_by_maps(denoiser, captions) if follow else None
    return scenes_flow.sample(denoiser, noise, captions, steps=steps, guidance=guidance, before_step=hook)
