"""`mini-repr check`: a user's implementation of a loss is compared with its page."""

import json
import os
import sys

import click
from click.core import ParameterSource

from mini_repr.commands.errors import plain_errors


@click.command("check", short_help="Compare your implementation of a loss with its page.")
@click.argument("target", required=False)
@click.option("--against", metavar="LOSS", help="The page to compare it with.")
@click.option("--variant", metavar="NAME", help="A named variant of the loss; `mini-repr show LOSS` lists them.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the loss to compare at; also goes to your parameter of that name. A NAME that is no setting "
    "of the loss is a constant for your callable. Repeatable.",
)
@click.option(
    "--const",
    "constants",
    multiple=True,
    metavar="NAME=VALUE",
    help="A constant for your callable only; repeatable.",
)
@click.option("--map", "mapping", metavar="LIST", help="ARGUMENT=YOURS,...: which of your parameters takes which.")
@click.option("--framework", metavar="NAME", help="torch, jax or numpy. Default: seen from your code.")
@click.option("--views", metavar="HOW", help="stacked: views as (B, V, D); list; one-sided: called for each side.")
@click.option("--transposed", metavar="LIST", help="Arrays that yours takes with columns first: a queue (D, K).")
@click.option("--dtype", metavar="NAME", help="float32: give every case in single precision.")
@click.option("--values-only", is_flag=True, help="Compare values, not gradients.")
@click.option("--detached", metavar="LIST", help="Targets that your training code detaches before the call.")
@click.option(
    "--ranks",
    type=click.IntRange(2, 64),
    metavar="W",
    help="Check the loss of one rank on W virtual ranks, see above.",
)
@click.option("--spawn", is_flag=True, help="With --ranks: in W processes that your loss gathers from by itself.")
@click.option("--mutants", is_flag=True, help="Say how many rewrites of the formula the cases tell from it, see above.")
@click.option("-v", "--verbose", is_flag=True, help="Show every case, not only those that fail.")
@click.option("-q", "--quiet", is_flag=True, help="Show the verdict only.")
@click.option("--junit", metavar="FILE", help="Also write the cases to FILE, as build servers read them.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of what --json prints.")
@plain_errors
def check(target, against, ranks, spawn, detached, values_only, mutants, views, transposed, dtype, **chosen):
    """Compare your implementation TARGET with a loss page; where they differ, say what yours computes.

    \b
    mini-repr check mine.py:nt_xent --against infonce --variant nt_xent
    mini-repr check my.package:SupConLoss --against supcon --map z=features
    mini-repr check mine.py:ntx --against infonce --set temperature=0.5
    mini-repr check mine.py:ntx --against infonce --const eps=1e-8
    mini-repr check results.npz --against infonce   values computed elsewhere
    mini-repr check mine.py:local --against infonce --ranks 4
    mini-repr check mine.py:loss --against infonce --ranks 2 --spawn
    mini-repr check --against infonce --ranks 4     what common schemes do
    mini-repr check --mutants --against infonce     how good the cases are

    Without TARGET it runs the checks that the pyproject.toml here states, one [[tool.mini_repr.check]] each, with the
    keys target, against, variant, set, const, map, framework, views, transposed, dtype, values-only and detached.

    TARGET is FILE.py:NAME or MODULE:NAME: a function, an instance, or a class to be made without arguments. It
    takes and returns PyTorch tensors, JAX arrays or NumPy arrays; gradients come from PyTorch or JAX, and from a
    NumPy callable that returns (value, {name: gradient}) or (value, (gradient, ...)).

    Arrays are matched by name where yours has all the loss's names, else by position. Numbers of the loss
    (temperature, margin, weights) go to your parameters of those names; one that yours does not take is compared
    at --set, else at your instance's attribute of that name, else at the page's default. Words and flags go only
    where --set or --variant chooses them.

    results.npz holds what you computed on the cases of `mini-repr vectors export`: CASE/value and CASE/grad_NAME.

    With --ranks, TARGET takes (local arrays ..., gathered arrays ..., rank), such as f(a, b, all_a, all_b, rank),
    and returns the loss of that rank. With --ranks and --spawn, TARGET takes the rank's own arrays, f(a, b), inside a
    process group of W processes (torch.distributed, gloo), and gathers the others' by itself.

    \b
    Exit code 0: conforms. 1: does not. 2: wrong use, or it cannot be called.
    3: conforms but at the end of what is defined (zero rows, a class of one),
    and the report says where. 4: right to seven digits only, as a float32
    constant inside float64 code gives.
    """
    variant, output = chosen["variant"], {name: chosen[name] for name in OUTPUT}
    if against:
        from mini_repr.pages.field_names import meant

        against, own = meant(against)[:2]
        variant = variant or own
    if chosen["schema"]:
        from mini_repr.conformance.schema import REPORTS

        _require_only("--schema", "schema")
        click.echo(json.dumps(REPORTS, indent=2))
        return
    if mutants:
        _require_only("--mutants", "mutants", "against", "variant")
        _print_scores(against, variant)
        return
    if not (target or against or ranks or spawn):
        _require_only("the checks that a pyproject.toml states", *OUTPUT)
        sys.exit(_stated(**output))
    if spawn and not (target and ranks):
        raise click.UsageError("--spawn: expected TARGET --ranks W too, such as mine.py:loss --ranks 2 --spawn")
    if not against or not (target or ranks):
        raise click.UsageError("expected TARGET --against LOSS, such as mine.py:nt_xent --against infonce")
    settings = _assigned("--set", chosen["assignments"])
    if not target:
        from mini_repr.conformance.schemes import factor_table

        _require_only("--ranks without TARGET", "against", "ranks", "variant", "assignments")
        click.echo(factor_table(against, ranks, variant, settings))
        return
    passed = {"mapping": _mapped(chosen["mapping"]), "constants": _assigned("--const", chosen["constants"])}
    passed["framework"] = chosen["framework"]
    of_all = ("target", "against", "variant", "assignments", "as_json")
    if ranks is not None:
        _require_only("--ranks", *of_all, "ranks", "spawn", "mapping", "constants", "framework")
        report = _of_ranks(target, against, ranks, spawn, variant, settings, passed)
        click.echo(json.dumps(report.document(), indent=2) if chosen["as_json"] else report.text())
        sys.exit(report.exit_code)
    if target.endswith(".npz"):
        from mini_repr.conformance.results import check_results

        _require_only("a file of results", *of_all, *OUTPUT)
        report = check_results(target, against, variant, settings)
    else:
        from mini_repr.conformance.check import check as check_callable

        passed["detached"] = _names(detached)
        passed["layout"] = _layout(views, transposed, dtype)
        report = check_callable(target, against, variant, settings, values_only=values_only, **passed)
    _write_junit([report], chosen["junit"])
    click.echo(_shown(report, chosen["as_json"], chosen["quiet"], chosen["verbose"]))
    _annotate([report])
    sys.exit(report.exit_code)


OUTPUT = ("as_json", "junit", "quiet", "verbose")


def _require_only(what, *taken):
    """Refuse an option that ``what`` would not read: nothing that was typed is left out without a word."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
        if given and option.name not in taken:
            raise click.UsageError(f"{option.opts[-1]}: not with {what}; leave it out")


def _stated(as_json, junit, quiet, verbose):
    """Run the checks that the pyproject.toml here states and print what they found; the exit code."""
    from mini_repr.conformance.table import run_all, stated_checks, text_of_all, worst_code

    reports = run_all(stated_checks())
    _write_junit(reports, junit)
    if as_json:
        click.echo(json.dumps([report.document() for report in reports], indent=2))
    else:
        click.echo(text_of_all(reports, quiet, verbose))
    _annotate(reports)
    return worst_code(reports)


def _of_ranks(target, against, ranks, spawn, variant, settings, passed):
    if spawn:
        from mini_repr.conformance.spawned import check_spawned

        if passed.pop("framework") not in (None, "torch"):
            raise ValueError("--spawn: expected --framework torch, whose process groups it runs in")
        return check_spawned(target, against, ranks, variant, settings, **passed)
    from mini_repr.conformance.ranks import check_ranks

    return check_ranks(target, against, ranks, variant, settings, **passed)


def _annotate(reports):
    """The lines by which GitHub shows verdicts beside the code: https://docs.github.com, workflow commands."""
    from mini_repr.conformance.report import UNDEFINED

    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for report in reports:
        if report.exit_code:
            file = report.label.rpartition(":")[0] if ".py:" in report.label else report.label
            level = "warning" if report.exit_code == UNDEFINED else "error"
            text = report.verdict.replace("%", "%25")
            click.echo(f"::{level} file={file},title=mini-repr check::{text}", err=True)


def _shown(report, as_json, quiet, verbose):
    if as_json:
        return json.dumps(report.document(), indent=2)
    if quiet:
        return "\n".join(report.short())
    return report.text(every_case=True) if verbose else report.text()


def _write_junit(reports, path):
    from mini_repr.conformance.report import junit
    from mini_repr.training.folder import writing

    if path:
        with writing(path), open(path, "w", encoding="utf-8") as file:
            file.write(junit(report.suite() for report in reports))


def _names(text):
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _layout(views, transposed, dtype):
    """The Layout that the options say; None where they say nothing, so that others are tried."""
    from mini_repr.conformance.layouts import VIEWS, Layout
    from mini_repr.pages.names import choose

    if not (views or transposed or dtype):
        return None
    if dtype:
        choose("dtype", dtype, ("float32",))
    return Layout(choose("views", views, VIEWS) if views else "", _names(transposed), dtype or "")


def _print_scores(against, variant):
    from mini_repr.conformance.rewrites.mutants import score_table
    from mini_repr.pages.names import find_loss, find_variant
    from mini_repr.pages.registry import all_losses

    losses = [find_loss(against)] if against else all_losses().values()
    chosen = [find_variant(loss, variant) for loss in losses] if variant else [None] * len(losses)
    for line in score_table(zip(losses, chosen, strict=True)):
        click.echo(line)


def _assigned(flag, texts):
    from mini_repr.training.config import parse_value

    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{flag} {text}: expected NAME=VALUE, such as temperature=0.5")
        values[name.strip()] = parse_value(value.strip())
    return values


def _mapped(text):
    mapping = {}
    for part in (text or "").split(","):
        if part.strip():
            ours, equals, theirs = part.partition("=")
            if not equals or not theirs.strip():
                raise ValueError(f"--map {text}: expected ARGUMENT=YOURS,..., such as a=z_i,b=z_j")
            mapping[ours.strip()] = theirs.strip()
    return mapping
