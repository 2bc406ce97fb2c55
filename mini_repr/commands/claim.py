"""`mini-repr claim`: the small experiment of a paper, with a verdict."""

import json
from pathlib import Path

import click

from mini_repr.commands.errors import plain_errors
from mini_repr.commands.pager import echo_long
from mini_repr.pages.tables import table, whole

UNKNOWN = "not measured"


@click.command(short_help="Run the small experiment of a paper, with a verdict.")
@click.argument("key", required=False)
@click.option("--seeds", type=click.IntRange(1), help="How many seeds. Default: what the claim asks for.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Seeds at once, each in a process. Default: 1.")
@click.option("--stored", is_flag=True, help="Show the stored result; measure nothing.")
@click.option("--record", is_flag=True, help="Store the result in the package, in place of the one there.")
@click.option("--all", "every", is_flag=True, help="With --stored: the verdicts on all claims.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--out", metavar="FILE.json", help="Write the result there too.")
@plain_errors
def claim(key, seeds, jobs, stored, record, every, as_json, out):
    """Run the small experiment of paper KEY over several seeds, and say whether its claim holds here.

    \b
    mini-repr claim simsiam
    mini-repr claim 067 --seeds 8 --jobs 2 --json
    mini-repr claim simsiam --stored
    mini-repr claim --all --stored
    """
    from mini_repr.claims.bench.report import report
    from mini_repr.claims.bench.results import all_stored
    from mini_repr.training.folder import RunFolder

    if every and (key or not stored):
        raise ValueError("claim --all: is for stored results; type mini-repr claim --all --stored")
    if not every and key is None:
        raise ValueError("claim: of which paper? KEY is missing, such as simsiam; `mini-repr list --claims` has all")
    if stored and (seeds or record):
        raise ValueError("claim --stored: shows what was measured; leave out --seeds and --record")
    _refuse_place(out)
    if every:
        results = all_stored()
        rows = verdict_rows(results)
        text = table(verdicts_title(rows), rows)
    else:
        results = _one_stored(key) if stored else _measured(key, seeds, jobs, record)
        text = report(results)
    if out:
        RunFolder(Path(out).parent).write_json(Path(out).name, results)
    echo_long(json.dumps(results, indent=2) if as_json else text)


def _refuse_place(out):
    """An error now and not minutes later."""
    if out and (not Path(out).parent.is_dir() or Path(out).is_dir()):
        why = "is a folder" if Path(out).is_dir() else f"no folder {Path(out).parent}"
        raise ValueError(f"--out {out}: {why}")


def _measured(key, seeds, jobs, record):
    """The result of a run now; with ``record`` stored as well."""
    from mini_repr.claims.bench.claim import run
    from mini_repr.claims.bench.keys import find_claim
    from mini_repr.claims.bench.processes import in_processes, one_by_one, threads_a_seed
    from mini_repr.claims.bench.results import recorded, refuse_unwritable, write

    experiment = find_claim(key)
    if record:
        if seeds and seeds < experiment.seeds:
            raise ValueError(f"claim {key} --record: --seeds {seeds}, expected {experiment.seeds} or more, or none")
        refuse_unwritable()

    def watch(seed):
        click.echo(f"{key}: seed {seed}", err=True)

    measured = one_by_one(experiment, watch) if jobs == 1 else in_processes(key, jobs, watch)
    result = run(experiment, seeds, measured)
    if record:
        result = recorded(key, result, threads_a_seed(jobs))
        write(key, result)
    return result


def _one_stored(key):
    from mini_repr.claims.bench.keys import find_claim
    from mini_repr.claims.bench.results import is_current, stored

    find_claim(key)  # refuses what is not one
    result = stored(key)
    if result is None:
        raise ValueError(f"claim {key}: no result is stored; `mini-repr claim {key} --record` measures and stores one")
    if not is_current(key, result):
        click.echo(f"{key}: the experiment has changed since; `mini-repr claim {key} --record`", err=True)
    return result


def verdict_rows(results):
    """A row per claim: number, key, verdict, what is claimed and the effect that decided.

    Args:
        results: {key: result or None}, None where the claim has not been measured.
    """
    from mini_repr.catalogue import paper
    from mini_repr.claims.bench.report import deciding

    rows = []
    for key, result in results.items():
        text = f"{result['says']} ({deciding(result)})" if result else whole(f"mini-repr claim {key} --record")
        rows.append((paper(key).number, key, result["verdict"] if result else UNKNOWN, text))
    return rows


def verdicts_title(rows):
    """What stands above such rows: how many have which verdict."""
    from mini_repr.claims.bench.claim import VERDICTS

    counts = {word: [row[2] for row in rows].count(word) for word in (*VERDICTS, UNKNOWN)}
    return f"claims ({', '.join(f'{count} {word}' for word, count in counts.items() if count)})"
