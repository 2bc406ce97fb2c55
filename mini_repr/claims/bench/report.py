"""The result of a claim as text."""

import statistics

from mini_repr.claims.bench.claim import NONE
from mini_repr.pages.tables import folded, numbers


def report(result, width=None):
    """A line per arm with mean ± deviation over seeds, then each expectation with its verdict and bounds.

    Args:
        result: of ``run``, or a stored one.
        width: of the lines, by default of the terminal.
    """
    expectations = [f"  {one['verdict']}: {one['says']} (difference {effect(one)})" for one in result["expects"]]
    verdict = f"{result['verdict']} ({circumstances(result)})"
    lines = [folded(line, width) for line in (*expectations, verdict)]
    return "\n".join([folded(result["says"], width), "", arms_table(result["arms"], width), "", *lines])


def arms_table(arms, width=None):
    """The arms' measures, mean ± deviation over seeds, as text."""
    measures = list(dict.fromkeys(m for row in arms.values() for m in row))
    rows = [[arm, *(spread(row[m]) if m in row else "" for m in measures)] for arm, row in arms.items()]
    return numbers([["", *measures], *rows], width)


def effect(expectation):
    """``0.021, 95 % bounds 0.012 and 0.030``: what was found, and the smallest effect where one is asked for."""
    text = short(statistics.fmean(expectation["difference"]))
    if expectation["bounds"]:
        text += ", 95 % bounds {} and {}".format(*map(short, expectation["bounds"]))
    if expectation["smallest"]:
        text += f", against {expectation['smallest']:g}"
    return text


def circumstances(result):
    """How the verdict came about: seeds, designs, time, and of a stored result who measured."""
    seeds = f"{result['seeds']} seeds, mean ± deviation"
    if result["verdict"] == NONE:
        seeds = "one seed gives none"
    designs = f"{result['designs']} designs tried" if result["designs"] > 1 else "the first design"
    parts = [seeds, designs, f"{result['seconds']:.0f} s"]
    if "version" in result:
        parts.append(f"stored by mini_repr {result['version']}, threads a seed: {result['threads']}")
    return "; ".join(parts)


def deciding(result):
    """The expectation that the verdict is owed to, with its effect: the first of the worst."""
    worst = next(one for one in result["expects"] if one["verdict"] == result["verdict"])
    return f"{worst['says']}: {effect(worst)}"


def spread(values):
    """``0.912 ± 0.004`` over seeds; one value stands alone."""
    mean = statistics.fmean(values)
    text = short(mean)
    return text if len(values) == 1 else f"{text} ± {short(statistics.stdev(values))}"


def short(value):
    """A number in three digits or three decimals."""
    return f"{value:.3g}" if abs(value) >= 100 or 0 < abs(value) < 0.001 else f"{value:.3f}"
