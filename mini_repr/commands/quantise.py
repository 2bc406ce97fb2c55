"""`mini-repr quantise`: the weights of a classifier's ViT at few bits."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Round the weights of a classifier's ViT to few bits.")
@click.argument("run")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="bits, loss, steps, lr, ...; repeatable."
)
@click.option("--images", "count", type=click.IntRange(1), default=256, help="Training images to calibrate with.")
@click.option("--load", metavar="FILE.npz", help="Apply what an earlier --out wrote; learn nothing.")
@click.option("--out", metavar="FILE.npz", help="Write codes and scales there.")
@plain_errors
def quantise(run, assignments, count, load, out):
    """Quantise the blocks of a RUN's ViT (its folder), trained by --method classifier, and say what it costs.

    \b
    mini-repr quantise runs/cross_entropy-digits-001 --set bits=2 --out codes.npz
    mini-repr quantise runs/cross_entropy-digits-001 --load codes.npz
    """
    from mini_repr.commands.settings import settings_of, write
    from mini_repr.commands.tables import table
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.posthoc import fima_q
    from mini_repr.training.evaluation import opened

    if load and (assignments or out):
        raise ValueError("quantise --load: applies what the file holds, expected neither --set nor --out beside it")
    settings = settings_of(fima_q.quantise, assignments)
    opened_run, data = opened(run, device="cpu")
    method = opened_run.method
    if method.page.name != "classifier" or not hasattr(method, "head"):
        raise ValueError(f"{run}: a run of method {method.page.name}, expected one of --method classifier with scores")
    encoder, head = method.encoder.eval(), method.head
    if load:
        made = fima_q.with_codes(encoder, *_parts(read_arrays(load), load))
    else:
        found = fima_q.quantise(encoder, head, data.train.images[:count], **settings)
        made = found.encoder
    if out:
        write(out, {f"{kind}/{name}": x for kind in ("codes", "scales") for name, x in getattr(found, kind).items()})
    rows = [
        (name, *fima_q.judged(encoder, one, head, data.test)) for name, one in (("whole", encoder), ("few bits", made))
    ]
    shown = [(name, f"{accuracy:.3f}", f"{kl:.4f}") for name, accuracy, kl in rows]
    click.echo(table("accuracy on test rows, and KL divergence from the whole network's answers", shown))


def _parts(arrays, path):
    """(codes, scales) of a file that --out wrote."""
    parts = [
        {n.partition("/")[2]: x for n, x in arrays.items() if n.startswith(f"{kind}/")} for kind in ("codes", "scales")
    ]
    if not parts[0] or parts[0].keys() != parts[1].keys():
        raise ValueError(f"--load {path}: holds {', '.join(arrays) or 'nothing'}, expected what quantise --out wrote")
    return parts
