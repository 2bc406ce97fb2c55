"""`mini-repr losses value`: a loss and its gradients on arrays that a user brings in a file."""

import json

import click

from mini_repr.commands.errors import plain_errors
from mini_repr.commands.settings import refuse_missing, settings_of, write


@click.group()
def losses():
    """Evaluate losses on your own arrays."""


@losses.command()
@click.argument("name")
@click.option("--input", "source", required=True, metavar="FILE.npz", help="Arrays named as the loss's arguments.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of the loss; repeatable.")
@click.option("--variant", metavar="NAME", help="A named variant of the loss; see `mini-repr show NAME`.")
@click.option("--out", metavar="FILE.npz", help="Write value and gradients there.")
@click.option("--json", "as_json", is_flag=True, help="Print value and gradients as JSON.")
@plain_errors
def value(name, source, assignments, variant, out, as_json):
    """Value and gradients of loss NAME on arrays from a file.

    \b
    mini-repr losses value infonce --input arrays.npz --set temperature=0.2
    mini-repr losses value infonce --input arrays.npz --variant nt_xent
    mini-repr losses value infonce --input arrays.npz --out gradients.npz
    """
    result = _evaluated(name, source, assignments, variant)
    if out:
        write(out, {"value": result["value"], **{f"grad_{n}": g for n, g in result["gradients"].items()}})
    if as_json:
        gradients = {n: g.tolist() for n, g in result["gradients"].items()}
        click.echo(json.dumps({**result, "gradients": gradients}, indent=2))
    else:
        click.echo(_text(result))


def _evaluated(name, path, assignments, variant):
    """{"loss", "settings", "value", "terms", "gradients"} of a loss on the arrays of an npz file.

    Raises:
        ValueError: no such loss, variant, setting or file; arrays missing, unknown or unfit.
    """
    from mini_repr.backend import CPU
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.pages.field_names import meant
    from mini_repr.pages.names import find_loss, find_variant

    name, own = meant(name)[:2]
    loss, variant = find_loss(name), variant or own
    settings = {}
    if variant is not None:
        settings.update(loss.variants[find_variant(loss, variant)].settings)
    settings |= settings_of(loss, assignments)
    arrays = read_arrays(path)
    for extra in set(arrays) - set(loss.parameters):
        raise ValueError(f"{path}: array {extra!r} is no argument of {name}; it takes {', '.join(loss.parameters)}")
    refuse_missing(loss, arrays, path)
    for parameter, array in arrays.items():
        if not loss.parameters[parameter].annotation.is_array and array.size != 1:
            raise ValueError(f"{path}: {parameter}: got an array of shape {array.shape}, expected one number")
    arrays = {n: v if loss.parameters[n].annotation.is_array else v.item() for n, v in arrays.items()}
    value, gradients = loss.value_and_grad(**{**arrays, **settings})
    terms = loss(**{**arrays, **settings}).terms
    return {
        "loss": name,
        "settings": settings,
        "value": float(value),
        "terms": {n: float(t) for n, t in terms.items()},
        "gradients": {n: CPU.to_numpy(g) for n, g in gradients.items()},
    }


def _text(result):
    import numpy as np

    lines = [f"{result['loss']} = {result['value']:.9g}"]
    lines += [f"  term {name} = {value:.9g}" for name, value in result["terms"].items()]
    for name, gradient in result["gradients"].items():
        norm = float(np.linalg.norm(gradient))
        lines.append(f"  gradient of {name} {gradient.shape} {gradient.dtype}, norm {norm:.9g}")
        lines += [f"    {line}" for line in np.array2string(gradient, precision=6, threshold=60).splitlines()]
    return "\n".join(lines)
