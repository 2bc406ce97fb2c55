"""`mini-repr claim`: the small experiment of a paper, with a verdict."""

import json
from pathlib import Path

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Run the small experiment of a paper, with a verdict.")
@click.argument("key")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds. Default: what the claim asks for.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--out", metavar="FILE.json", help="Write the result there too.")
@plain_errors
def claim(key, seeds, as_json, out):
    """Run the small experiment of paper KEY over several seeds, and say whether its claim holds here.

    \b
    mini-repr claim simsiam
    mini-repr claim 067 --seeds 5 --json
    """
    from mini_repr.claims.bench.claim import run, table
    from mini_repr.claims.bench.keys import find_claim
    from mini_repr.training.folder import RunFolder

    def watch(seed):
        click.echo(f"{key}: seed {seed}", err=True)

    experiment = find_claim(key)
    if out and (not Path(out).parent.is_dir() or Path(out).is_dir()):  # no news for minutes later
        raise ValueError(
            f"--out {out}: is a folder" if Path(out).is_dir() else f"--out {out}: no folder {Path(out).parent}"
        )
    result = run(experiment, seeds, watch)
    if out:
        RunFolder(Path(out).parent).write_json(Path(out).name, result)
    click.echo(json.dumps(result, indent=2) if as_json else table(result))
