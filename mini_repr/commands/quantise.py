"""`mini-repr quantise`: a classifier's ViT at few bits."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Round a classifier's ViT to few bits.")
@click.argument("run")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="bits, loss, steps, lr, ...; repeatable."
)
@click.option("--images", "count", type=click.IntRange(1), default=256, help="Training images to calibrate with.")
@click.option("--load", metavar="FILE.npz", help="Apply what an earlier --out wrote; learn nothing.")
@click.option("--out", metavar="FILE.npz", help="Write codes, scales and zero points there.")
@plain_errors
def quantise(run, assignments, count, load, out):
    """Quantise a RUN's ViT (its folder) and head, trained by --method classifier, and say what it costs.

    Weights get bits (3), what enters a product input_bits (3; 32 leaves it whole).

    \b
    mini-repr quantise runs/cross_entropy-digits-001 --set bits=2 --out codes.npz
    mini-repr quantise runs/cross_entropy-digits-001 --load codes.npz
    """
    import numpy as np

    from mini_repr.commands.settings import settings_of, write
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.pages.tables import table
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

    def whole(images):
        return head(encoder(images).pooled)

    if load:
        made = _loaded(encoder, head, read_arrays(load), load)
    else:
        made = fima_q.quantise(encoder, head, data.train.images[:count], **settings)
    if out:
        write(out, {"bits": np.array(made.bits)} | {f"state/{name}": x for name, x in made.state_dict().items()})
    rows = [(name, *fima_q.judged(one, whole, data.test)) for name, one in (("whole", whole), ("few bits", made))]
    shown = [(name, f"{accuracy:.3f}", f"{kl:.4f}") for name, accuracy, kl in rows]
    click.echo(table("accuracy on test rows, and KL divergence from the whole network's answers", shown))


def _loaded(encoder, head, arrays, path):
    """The quantised network of a file that --out wrote.

    Raises:
        ValueError: other arrays, or those of another network.
    """
    from mini_repr.posthoc import fima_q

    state = {name.removeprefix("state/"): x for name, x in arrays.items() if name.startswith("state/")}
    if "bits" not in arrays or not state:
        raise ValueError(f"--load {path}: holds {', '.join(arrays) or 'nothing'}, expected what quantise --out wrote")
    made = fima_q.empty(encoder, head, *arrays["bits"].tolist())
    try:
        made.load_state_dict(state)
    except ValueError as problem:
        raise ValueError(f"--load {path}: of another network: {problem}") from None
    return made
