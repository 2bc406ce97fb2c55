"""`mini-repr book`: the book of the package as a folder of pages."""

import sys

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Write the book: pages with formulas, pictures and linked code.")
@click.option("--out", required=True, metavar="FOLDER", help="Where to write it; made where it is missing.")
@click.option("--only", multiple=True, metavar="NAME", help="Only the pages of this name, such as infonce; repeatable.")
@click.pass_context
@plain_errors
def book(context, out, only):
    """Write the book: a page for everything there is, with formulas, pictures and code whose names are links.

    It opens from the disk, without a network: FOLDER/index.html. Half a minute of one core. Needs the extra ``book``.

    \b
    mini-repr book --out book
    mini-repr book --out book --only infonce
    """
    from mini_repr.book.extra import require_extra

    require_extra("book")
    from mini_repr.book.build import build

    group = context.find_root().command
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}

    def watch(pages):
        with click.progressbar(pages, label="pages", file=sys.stderr) as bar:
            yield from bar

    written = build(out, commands, only, watch=watch if sys.stderr.isatty() else iter)
    click.echo(f"{len(written)} files; open {out}/index.html")
