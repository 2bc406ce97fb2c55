"""From what a user typed after `mini-repr check` to an exit code and the text to print."""

from mini_repr.conformance.check import check
from mini_repr.training.config import parse_value


def run(
    target,
    against,
    variant,
    assignments,
    constants,
    mapping,
    detached,
    as_json,
    framework=None,
    values_only=False,
    ranks=None,
):
    """(exit code, text) of one check.

    Raises:
        ValueError: a flag that cannot be read, a name that does not exist, a callable that cannot be checked.
    """
    options = {
        "variant": variant,
        "settings": _assigned("--set", assignments),
        "mapping": _mapped(mapping),
        "constants": _assigned("--const", constants),
        "framework": framework,
    }
    if ranks is not None:
        from mini_repr.conformance.ranks import check_ranks

        report = check_ranks(target, against, ranks, **options)
    elif target.endswith(".npz"):
        from mini_repr.conformance.results import check_results

        report = check_results(target, against, variant, options["settings"])
    else:
        detached = [name.strip() for name in detached.split(",")] if detached else ()
        report = check(target, against, values_only=values_only, detached=detached, **options)
    return report.exit_code, report.json() if as_json else report.text()


def mutants(as_json=False):
    """(0 if every known slip is found, else 1; the kill table)."""
    from mini_repr.conformance.mutants import kill_table

    return kill_table(as_json)


def factors(against, world, variant, assignments):
    """(0, the table of the common distributed schemes)."""
    from mini_repr.conformance.ranks import factor_table

    return 0, factor_table(against, world, variant, _assigned("--set", assignments))


def _assigned(flag, texts):
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
