"""`mini-repr precision`: the error of a loss in float32 and from half-precision inputs."""

import json

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Error of a loss in float32 and from half-precision inputs.")
@click.argument("name")
@click.option("--variant", metavar="NAME", help="A named variant of the loss; see `mini-repr show NAME`.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON; null is overflow.")
@plain_errors
def precision(name, variant, as_json):
    """Error of loss NAME in float32 and from half-precision inputs, compared with exact values (50 digits).

    \b
    mini-repr precision infonce
    mini-repr precision infonce --variant nt_xent --json
    """
    from mini_repr.conformance import precision as measured
    from mini_repr.pages.field_names import meant
    from mini_repr.pages.names import find_loss, find_variant

    name, own = meant(name)[:2]
    loss, variant = find_loss(name), variant or own
    settings = loss.variants[find_variant(loss, variant)].settings if variant else None
    result = measured.measure(loss, settings)
    click.echo(json.dumps(measured.as_json(result), indent=2) if as_json else measured.table(result))
