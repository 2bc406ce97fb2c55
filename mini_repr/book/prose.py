"""Docstrings and chapters as HTML."""

import re
import textwrap
from itertools import groupby
from typing import NamedTuple

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

# How the paragraphs that open a section of a loss's text begin, and the section's title.
OPENINGS = {
    "Definition.": "Definition",
    "Gradient.": "Gradient",
    "Shapes:": "Shapes",
    "Source.": "Source",
    "Source:": "Source",
    "Public implementations": "What public code does",
}
CODE = re.compile(r"``(.+?)``|`([^`\n]+)`")
ARXIV = re.compile(r"arXiv[ :]+(\d{4}\.\d{4,5})")
EMPHASIS = re.compile(r"(?<![\w)*])\*(\w[^*]*?\w)\*(?![\w(*])")
# How texts write symbols outside of code: one letter (of a derivative with its d), or a sum, with an index of one or
# two signs or in braces, and with a power: u_i, du_i, s_ij², x_{t+1}, e^{s_ij/t}. The text is HTML already.
SYMBOL = re.compile(
    r"(?<![\w.])(sum|mean|max|min|softmax|logsumexp|d?[^\W\d_](?:&\#39;)?)"
    r"(?:_(?P<index>\{[^{}]*\}|[A-Za-z0-9\u0370-\u03ff]{1,2}))?"
    r"(?:\^(?P<power>\{[^{}]*\}|\d+|[A-Za-z]))?(?![A-Za-z0-9_^]|\.\w)"
)


class Section(NamedTuple):
    """A part of a text: its title, and its paragraphs."""

    title: str
    paragraphs: list


def paragraphs(text):
    """What stands between empty lines."""
    return re.split(r"\n\s*\n", text.strip("\n"))


def sections(text):
    """The ``Section``s of a page's text; what stands before the first one has no title."""
    found = [Section("", [])]
    for paragraph in paragraphs(text):
        opening = next((o for o in OPENINGS if paragraph.startswith(o)), None)
        if opening and OPENINGS[opening] not in [section.title for section in found]:
            found.append(Section(OPENINGS[opening], []))
            paragraph = paragraph.removeprefix(opening).strip() if opening[-1] in ".:" else paragraph
        found[-1].paragraphs.append(paragraph)
    return [section for section in found if section.paragraphs != [""]]


def html(found, link):
    """The paragraphs that were ``found`` in a docstring as HTML.

    Args:
        link: ``link(name)`` gives the address of what stands in double backquotes, "" where it has no page.
    """
    return Markup("\n").join(_paragraph(paragraph, link) for paragraph in found if paragraph.strip())


def is_formula(paragraph):
    """Whether a paragraph is indented: a formula or a small table."""
    return paragraph.startswith("    ")


def inline(text, link):
    """One run of text: code in backquotes, *words*, symbols with their indices, arXiv ids with their addresses."""
    pieces, end = [], 0
    for match in CODE.finditer(text):
        pieces.append(_running(text[end : match.start()]))
        name = match[1] or match[2]
        address = link(name)
        shown = Markup("<code>{}</code>").format(name)
        pieces.append(Markup('<a href="{}">{}</a>').format(address, shown) if address else shown)
        end = match.end()
    return Markup().join([*pieces, _running(text[end:])])


def _paragraph(paragraph, link):
    if is_formula(paragraph):
        return Markup('<pre class="formula">{}</pre>').format(textwrap.dedent(paragraph).replace("``", ""))
    if paragraph.startswith(">>>"):
        return Markup('<pre class="code">{}</pre>').format(paragraph)
    if paragraph.startswith(("* ", "- ")):
        items = re.split(r"^[*-] ", paragraph, flags=re.MULTILINE)[1:]
        rows = Markup().join(Markup("<li>{}</li>").format(inline(" ".join(item.split()), link)) for item in items)
        return Markup("<ul>{}</ul>").format(rows)
    lines = paragraph.splitlines()
    shown = Markup()
    for indented, part in groupby(lines, key=lambda line: line.startswith("    ")):  # what stands under "Args:"
        if indented:
            entries = re.split(r"\n(?! )", textwrap.dedent("\n".join(part)))  # deeper lines go on with the one above
            rows = [Markup("<li>{}</li>").format(inline(re.sub(r"\n +", " ", entry), link)) for entry in entries]
            shown += Markup('<ul class="lines">{}</ul>').format(Markup().join(rows))
        else:
            shown += Markup("<p>{}</p>").format(inline(" ".join(part), link))
    return shown


def _running(text):
    """Text without code."""
    html = EMPHASIS.sub(r"<em>\1</em>", _with_symbols(str(escape(text))))
    return Markup(ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', html))


def _with_symbols(html):
    """HTML in which u_i is a symbol with an index, and t^2 one with a power."""

    def shown(match):
        parts = [(tag, match[name]) for tag, name in (("sub", "index"), ("sup", "power")) if match[name]]
        return match[1] + "".join(f"<{tag}>{_with_symbols(text.strip('{}'))}</{tag}>" for tag, text in parts)

    return SYMBOL.sub(shown, html)


def chapter_html(text, link, python):
    """A chapter's Markdown as HTML.

    Args:
        link: ``link(path)`` gives the address for a relative link, "" where what it leads to is no part of the book.
        python: ``python(text)`` sets a block of Python.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(re.sub(r"^<!--.*?-->\n", "", text, flags=re.MULTILINE))
    for token in tokens:
        _lead_links(token.children or [], link)
    body = Markup(reader.renderer.render(tokens, reader.options, {}))
    body = re.sub(
        r'<pre><code class="language-python">(.*?)</code></pre>', lambda m: python(_plain(m[1])), body, flags=re.S
    )
    body = re.sub(r"<h2>(.*?)</h2>", lambda m: f'<h2 id="{slug(m[1])}">{m[1]}</h2>', body)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return Markup(re.sub(r"^<h1>.*?</h1>\n", "", body))


def slug(title):
    """A heading as the name of an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"<.*?>", "", title).lower()).strip("-")


def _plain(html):
    return Markup(html).unescape()


def _lead_links(children, link):
    """Lead the links among the tokens of a line to pages of the book, and take those out that lead out of it."""
    open_, kept = [], []
    for child in children:
        if child.type == "link_open":
            address = child.attrGet("href")
            address = address if address.startswith("http") else link(address)
            open_.append(bool(address))
            child.attrSet("href", address)
        if not (child.type in ("link_open", "link_close") and not (open_[-1] if open_ else True)):
            kept.append(child)
        if child.type == "link_close":
            open_.pop()
    children[:] = kept
