"""The result of a claim as text."""

import statistics

from mini_repr.claims.bench.claim import NONE


def report(result):
    """A line per arm with mean ± deviation over seeds, then each expectation with its verdict and bounds."""
    measures = list(dict.fromkeys(m for row in result["arms"].values() for m in row))
    rows = [["", *measures]]
    rows += [[arm, *(spread(row[m]) if m in row else "" for m in measures)] for arm, row in result["arms"].items()]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    checks = [f"  {e['verdict']}: {e['says']} (difference {effect(e)})" for e in result["expects"]]
    return "\n".join([result["says"], "", *lines, "", *checks, f"{result['verdict']} ({circumstances(result)})"])


def effect(expectation):
    """``0.021, 95 % bounds 0.012 and 0.030``: what was found, beside the smallest effect asked for where there is one."""
    text = short(statistics.fmean(expectation["difference"]))
    if expectation["bounds"]:
        text += ", 95 % bounds {} and {}".format(*map(short, expectation["bounds"]))
    if expectation["smallest"]:
        text += f", against {expectation['smallest']:g}"
    return text


def circumstances(result):
    """How the verdict came about: seeds, designs, time."""
    seeds = f"{result['seeds']} seeds, mean ± deviation"
    if result["verdict"] == NONE:
        seeds = "one seed gives none"
    designs = f"{result['designs']} designs tried" if result["designs"] > 1 else "the first design"
    return f"{seeds}; {designs}; {result['seconds']:.0f} s"


def spread(values):
    """``0.912 ± 0.004`` over seeds; one value stands alone."""
    mean = statistics.fmean(values)
    text = short(mean)
    return text if len(values) == 1 else f"{text} ± {short(statistics.stdev(values))}"


def short(value):
    """A number in three digits or three decimals."""
    return f"{value:.3g}" if abs(value) >= 100 or 0 < abs(value) < 0.001 else f"{value:.3f}"
