"""A matplotlib figure as SVG for the inside of a page: text as text, colours that the page's style sheet decides."""

import io
import re

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# Colours that matplotlib writes, and the variables of the style sheet that take their place.
INK, MUTED = "#010101", "#020202"
LINES = tuple(f"#0000{k:02x}" for k in range(0x10, 0x18))
GOOD, BAD = "#000001", "#000002"
VARIABLES = {INK: "ink", MUTED: "muted", GOOD: "good", BAD: "bad"}
VARIABLES |= {colour: f"line{k}" for k, colour in enumerate(LINES)}
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
STYLE = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "svg.image_inline": True,
    "path.simplify": False,
}


def svg(draw, size, title):
    """A figure as SVG for the inside of a page: ``draw(figure)`` fills it; the same input gives the same text."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=size, layout="tight")
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<g id=\"[^\"]*\"", "<g", text)
    text = re.sub(r"<!--.*?-->\s*", "", text)
    # Places have two decimals. What stands between tags is left: numbers at an axis may differ in the third.
    text = re.sub(r">[^<]*|(?<![#\w])-?\d+\.\d{3,}", lambda m: m[0] if m[0][0] == ">" else f"{float(m[0]):.2f}", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"#[0-9a-f]{6}\b", lambda c: f"var(--{VARIABLES[c[0]]})" if c[0] in VARIABLES else c[0], text)
    width, height = (72 * length for length in size)
    head = f'<svg class="picture" role="img" aria-label="{escape(title)}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head += f' style="max-width:{width * 1.25:.0f}px">'
    return Markup(head + text[text.index(">") + 1 :])


def look(number):
    """Colour and dashes of the line of this number, from 0."""
    return {"color": LINES[number % len(LINES)], "linestyle": DASHES[number % len(DASHES)]}


def legend(names):
    """The names of lines 0, 1, ... beside a piece of each, as HTML: within the picture a legend would cover it."""
    item = Markup(
        '<li><svg viewBox="0 0 24 8" width="24" height="8"><path d="M0 4H24" fill="none" stroke="var(--{})" '
        'stroke-width="2" stroke-dasharray="{}"/></svg> {}</li>'
    )
    dashes = ["" if dash == "-" else " ".join(str(2 * length) for length in dash[1]) for dash in DASHES]
    rows = [
        item.format(VARIABLES[LINES[k % len(LINES)]], dashes[k % len(DASHES)], name) for k, name in enumerate(names)
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup().join(rows))
