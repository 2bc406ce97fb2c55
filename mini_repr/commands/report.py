"""`mini-repr report`: one run, or several side by side, as one file for a browser."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Write a report on runs: curves, maps, neighbours, pictures, settings.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", required=True, metavar="FILE", help="The file to write, such as report.html.")
@plain_errors
def report(runs, out):
    """Write one file on RUNs, finished or not: scores, curves, collapse, a map of the embeddings, nearest neighbours.

    Of images that are masked also what is hidden and rebuilt, of a ViT where it looks. It needs no other file and no
    network. Needs the extra ``book``; where umap-learn is installed too, there is a second map, by UMAP.

    \b
    mini-repr report runs/infonce-digits-001 --out report.html
    mini-repr report runs/many-* --out report.html
    """
    from mini_repr.book.extra import require_extra

    require_extra("report")
    from mini_repr.book.report import report as write

    write(runs, out)
    click.echo(f"{out}")
