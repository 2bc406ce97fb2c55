"""Text that may be longer than the screen."""

import shutil
import sys

import click


def echo_long(text):
    """Print a text; on a terminal that it does not fit, through the user's pager."""
    if sys.stdout.isatty() and text.count("\n") + 2 > shutil.get_terminal_size().lines:
        click.echo_via_pager(text)
    else:
        click.echo(text)
