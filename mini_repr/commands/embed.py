"""`mini-repr embed`: the embeddings of a data set by a trained run."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Write the embeddings of a data set by a run.")
@click.argument("run")
@click.option("--data", metavar="NAME|PATH", help="Default: the data the run was trained on.")
@click.option("--out", required=True, metavar="FILE.npz", help="Where the embeddings go; must not exist.")
@click.option("--device", default=None, metavar="NAME", help="cpu, gpu, gpu:N or auto. Default: the run's.")
@plain_errors
def embed(run, data, out, device):
    """Write a trained RUN's embeddings of a data set: z (a and b of pairs), labels, and which rows are test rows;
    of a method that has more rows than its encoder's, those too.

    \b
    mini-repr embed runs/infonce-digits-001 --data digits --out emb.npz
    """
    from mini_repr.training import session

    shapes = session.embed(run, data, out, device)
    click.echo(f"{out}: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}, labels, is_test")
