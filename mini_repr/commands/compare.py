"""`mini-repr compare`: several runs side by side."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Compare finished runs: their settings that differ, and their scores.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@plain_errors
def compare(runs):
    """Print the scores of finished RUNs side by side, and below them the settings in which they differ.

    Runs that differ by their seed alone are one row: the mean over seeds, and the standard deviation between them.

    \b
    mini-repr compare runs/infonce-digits-001 runs/vicreg-digits-001
    mini-repr compare runs/many-*
    """
    from mini_repr.training.comparison import compared

    click.echo(compared(runs))
