"""`mini-repr cite`: the papers behind a name, as BibTeX."""

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Print BibTeX of the papers behind a loss, metric or paper.")
@click.argument("name")
@plain_errors
def cite(name):
    """Print BibTeX of the papers that a page comes from; NAME may also be the field's, or a paper's key or number.

    What a page's text names by an arXiv id beyond the catalogue's papers follows without its title.

    \b
    mini-repr cite infonce
    mini-repr cite 092
    """
    from mini_repr.pages.bibtex import entries

    click.echo("\n\n".join(entries(name)))
