"""`mini-repr export`: the weights of a run, for other programs."""

from importlib.util import find_spec
from pathlib import Path

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Write the weights of a run for other programs.")
@click.argument("run")
@click.option("--out", required=True, metavar="FILE", help="Where they go, .npz or .safetensors; must not exist.")
@plain_errors
def export(run, out):
    """Write the trained weights of a RUN under their names, as float arrays: .npz, or .safetensors (which needs the
    package safetensors). The settings of the run travel in the safetensors file's metadata.

    \b
    mini-repr export runs/infonce-digits-001 --out weights.npz
    """
    import json

    import numpy as np

    import mini_repr
    from mini_repr.training.folder import refuse_taken_file, whole_file

    ending = Path(out).suffix
    if ending not in (".npz", ".safetensors"):
        raise ValueError(f"--out {out}: got ending {ending!r}, expected .npz or .safetensors")
    refuse_taken_file(out)
    if ending == ".safetensors" and find_spec("safetensors") is None:
        raise ValueError(f"--out {out}: needs the package safetensors: pip install 'mini-repr[safetensors]'")
    loaded = mini_repr.load_run(run)
    arrays = {name: np.ascontiguousarray(value) for name, value in loaded.method.state_dict().items()}
    with whole_file(out) as temporary:
        if ending == ".npz":
            with open(temporary, "wb") as file:
                np.savez(file, **arrays)
        else:
            from safetensors.numpy import save_file

            save_file(arrays, temporary, metadata={"mini_repr": json.dumps(loaded.settings)})
    count = sum(value.size for value in arrays.values())
    click.echo(f"{out}: {len(arrays)} arrays, {count:,} numbers")
