"""What each kind of page of the book holds: titles and HTML, made from what the package declares."""

import ast
import dataclasses
import inspect
import re

import click
from markupsafe import Markup, escape

from mini_repr.book import pictures
from mini_repr.book.chapters import chapter
from mini_repr.book.formulas import formulas
from mini_repr.book.prose import Section, chapter_html, html, inline, is_formula, paragraphs, sections
from mini_repr.book.source import Definition, highlighted, modules, users
from mini_repr.catalogue import paper
from mini_repr.claims.bench.keys import claim_keys, find_claim
from mini_repr.claims.bench.report import arms_table, circumstances, deciding, effect
from mini_repr.claims.bench.results import stored
from mini_repr.data import GENERATED, options_of
from mini_repr.nn import Heads
from mini_repr.pages.bibtex import entries as bibtex
from mini_repr.pages.registry import all_losses
from mini_repr.standins.store import STANDINS

COMPARED = {
    "pairs": "two aligned sets of rows",
    "labels": "rows and class labels",
    "scores": "scores and a target",
    "teachers": "student and teacher outputs",
    "reconstruction": "prediction and target",
    "embeddings": "one set of rows alone",
    "maps": "maps of attention or density",
    "towers": "rows of frozen towers",
}
MOST_USERS = 40


def table(header, rows):
    """A table; cells are text, or HTML where they are ``Markup``. Nothing where there is no row."""
    if not rows:
        return Markup()
    head = Markup().join(Markup("<th>{}</th>").format(cell) for cell in header)
    lines = Markup().join(
        Markup("<tr>{}</tr>").format(Markup().join(Markup("<td>{}</td>").format(cell) for cell in row)) for row in rows
    )
    shown = Markup("<thead><tr>{}</tr></thead>").format(head) if any(header) else Markup()
    return Markup('<div class="wide"><table>{}<tbody>{}</tbody></table></div>').format(shown, lines)


def code(text):
    """A name or a setting in the type of code."""
    return Markup("<code>{}</code>").format(text)


def as_typed(text):
    """Text in the type of code, as it stands: what one types in a terminal, or sees there."""
    return Markup('<pre class="code">{}</pre>').format(text)


def link(address, text):
    """A link, or the text alone where there is nothing to lead to."""
    return Markup('<a href="{}">{}</a>').format(address, text) if address else escape(text)


def of_page(page, book):
    """Sections of what has a declaration: a loss, metric, method, encoder, mask, optimiser, procedure or theorem."""
    found = {section.title: section.paragraphs for section in _sections(page)}
    shown = [("", html(found.pop("", []), book.named)), ("", _sources(page, book))]
    for title in ("Definition", "Gradient"):
        body = _with_formulas(page.tex.get(title.lower(), ""), found.pop(title, []), book)
        picture = ""
        if page.kind == "loss" and book.with_pictures:
            picture = pictures.along_one_number(page) if title == "Definition" else pictures.push_on_a_circle(page)
        shown += [(title, body + _captioned(picture, title))]
    source = found.pop("Source", None)
    shown += [(title, html(of_it, book.named)) for title, of_it in found.items()]
    sensitivity = pictures.along_settings(page) if page.kind == "loss" and book.with_pictures else ""
    shown += [("Arguments", _arguments(page) + _captioned(sensitivity, "Arguments")), ("Variants", _variants(page))]
    described = list(dict.fromkeys(i.description for i in page.invariants))
    shown += [("Checked invariants", table(("",), [(one,) for one in described]))]
    shown += [("Source", html(source, book.named))] if source else []
    for number in page.papers:
        shown += of_claim_in_short(paper(number).key, book)
    shown += _code(page, book)
    shown += [("Related", _related(page, book)), ("Used by", _used_by(_definition_of(page.thing), book))]
    shown += [("Cite", as_typed("\n\n".join(bibtex(page.name))))] if page.papers else []
    return shown


def _sections(page):
    """The sections of a loss's text, or the whole text of another page; without the line that stands as its summary."""
    lines = [line for line in page.text.splitlines() if not (page.summary and line.endswith(page.summary))]
    text = "\n".join(lines)
    return sections(text) if page.kind == "loss" else [Section("", paragraphs(text))]


def badges(page):
    """Short facts on a page: what it compares, what it was held against, how many variants it has, its claims."""
    found = [COMPARED[page.compares]] if page.kind == "loss" else [page.kind]
    for one in map(paper, page.papers):
        result = stored(one.key)
        facts = [one.fidelity, f"claim {result['verdict']}" if result else ""]
        found.append(f"{one.number}: {', '.join(filter(None, facts))}")
    if page.variants:
        found.append(f"{len(page.variants)} variant{'s' if len(page.variants) > 1 else ''}")
    return found


def _sources(page, book):
    rows = [("source", inline(page.own_paper, book.named))] if page.own_paper else []
    for one in map(paper, page.papers):
        rows.append(("paper", link(book.href("paper", one.key), f"{one.number} {one.title} ({one.cite()})")))
    rows.append(("code", link(book.source(_definition_of(page.thing)), _definition_of(page.thing).module)))
    return table(("", ""), rows)


def _with_formulas(tex, written, book):
    """A section with its TeX in place of its first formula as text; without TeX as it stands."""
    if not tex:
        return html(written, book.named)
    place = next((k for k, one in enumerate(written) if is_formula(one)), None)
    before, after = ([], written) if place is None else (written[:place], written[place + 1 :])
    return html(before, book.named) + formulas(tex) + html(after, book.named)


CAPTIONS = {
    "Definition": "Value and slope, with all variants, on one drawn batch; of a row the slope is that along the turn.",
    "Gradient": (
        "Where it pushes one row of two numbers, wherever that stands on the circle: its partner, where it has one, "
        "is red, the others are grey. Arrows are the negative gradient; the longest of each picture has one length."
    ),
    "Arguments": "The value on the same batch along each number that can be set; dotted: its default.",
}


def _captioned(picture, title):
    if not picture:
        return Markup()
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(picture, CAPTIONS[title])


def _arguments(page):
    prefix = f"{page.kind.replace('optimiser', 'optimizer')}." if isinstance(page.thing, type) else ""
    rows = [(code(f"{prefix}{p.name}"), str(p.annotation), p.default_text) for p in page.parameters.values()]
    heads = getattr(page.thing, "heads", None)
    if heads:
        fields = dataclasses.fields(Heads)
        rows += [(code(f"heads.{f.name}"), str(f.type), f"default {getattr(heads, f.name)}") for f in fields]
    return table(("", "", ""), rows)


def _variants(page):
    return table(("", "", ""), [(code(n), code(v.as_text), v.description) for n, v in page.variants.items()])


def _definition_of(thing):
    return Definition(thing.__module__, thing.__name__)


def _code(page, book):
    """The literal form and the implementation, one under the other."""
    shown = []
    for title, thing in (("The definition as code", page.literal), ("The code", page.thing)):
        at = thing and _definition_of(thing)
        if at and at.module in modules() and at.name in modules()[at.module].defined:
            shown.append((title, highlighted(at.module, book.definition, at.name)))
    return shown


def _used_by(definition, book):
    found = [one for one in users().get(definition, []) if one.name]
    links = [link(book.definition(one), f"{one.module.removeprefix('mini_repr.')}.{one.name}") for one in found]
    more = [f"and {len(links) - MOST_USERS} more"] if len(links) > MOST_USERS else []
    return _names([*links[:MOST_USERS], *more])


def _names(links):
    return Markup('<p class="names">{}</p>').format(Markup(", ").join(links)) if links else Markup()


def _related(page, book):
    """Losses that the text of a loss names, or whose texts name it."""
    losses = all_losses() if page.kind == "loss" else {}
    found = [one for name, one in losses.items() if name in _named_in(page) or page.name in _named_in(one)]
    return _names([link(book.href("loss", one.name), one.name) for one in found if one is not page])


def _named_in(page):
    """The first word of all that stands in backquotes in a page's text."""
    return {match[1] for match in re.finditer(r"`(\w+)", page.text)}


def of_claim_in_short(key, book):
    """The claim of a paper in a section of another page: what it says, the verdict, what decides it."""
    result = stored(key) if key in claim_keys() else None
    if not result:
        return []
    text = Markup("<p>{}</p><p><strong>{}</strong> here: {}</p>").format(
        link(book.href("claim", key), result["says"]), result["verdict"].capitalize(), deciding(result)
    )
    return [(f"Claim of {key}", text)]


def of_claim(key, book):
    """What the experiment is, its differences as a picture and as numbers, its code."""
    claim, result = find_claim(key), stored(key)
    one = paper(key)
    module = f"mini_repr.claims.{key}"
    shown = [("", html(_text_of(Definition(module)), book.named))]
    rows = [
        ("paper", link(book.href("paper", key), f"{one.number} {one.title}")),
        ("designs tried", str(claim.designs)),
    ]
    if result:
        rows += [("verdict", f"{result['verdict']}: {deciding(result)}"), ("measured", circumstances(result))]
    shown.append(("", table(("", ""), rows)))
    if result:
        expects = [(str(k + 1), e["says"], e["verdict"], effect(e)) for k, e in enumerate(result["expects"])]
        picture = pictures.differences(result) if book.with_pictures else ""
        caption = (
            "Dots: the difference of each seed; tick: their mean; line: between the one-sided 95 % bounds; triangle: "
            "the smallest effect asked for. Each row on a scale of its own."
        )
        figure = (
            Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(picture, caption) if picture else Markup()
        )
        shown += [
            ("What is expected", figure + table(("", "expectation", "verdict", "difference"), expects)),
            ("Arms", as_typed(arms_table(result["arms"], 100))),
        ]
    shown += [
        ("Measure again", as_typed(f"mini-repr claim {key}\nmini-repr claim {key} --stored")),
        ("The code", highlighted(module, book.definition)),
    ]
    return shown


def of_paper(one, book):
    """The row of the catalogue, what lives where, its claim, how to cite it."""
    rows = [("authors", one.authors), ("year", str(one.year or "")), ("arXiv", link(one.link, one.arxiv))]
    rows += [("status", one.status), ("still missing", one.missing), ("held against", one.fidelity)]
    places = [link(book.place(where), where) for where in one.where]
    rows += [("where", Markup(", ").join(places)), ("planned for", "" if one.where else ", ".join(one.rooms))]
    shown = [("", table(("", ""), [row for row in rows if row[1]]))]
    return [*shown, *of_claim_in_short(one.key, book), ("Cite", as_typed("\n\n".join(bibtex(one.key))))]


def of_primitive(name, function, book):
    """Signature, text, code with its backward pass, users."""
    at = _definition_of(function.on_arrays)
    return [
        ("", html(_paragraphs(function)[1:], book.named)),
        ("", table(("", ""), [("signature", code(f"{name}{inspect.signature(function)}")), _where(at, book)])),
        ("The code", highlighted(at.module, book.definition, at.name)),
        ("Used by", _used_by(at, book)),
    ]


def of_view(name, cls, book):
    """What it does, its settings, how it is typed, code."""
    at = _definition_of(cls)
    rows = [
        (code(f.name), str(getattr(f.type, "__name__", f.type)), f"default {f.default}")
        for f in dataclasses.fields(cls)
    ]
    return [
        ("", html(_paragraphs(cls)[1:], book.named)),
        ("", table(("", ""), [_where(at, book)])),
        ("Settings, in the order in which they are typed", table(("", "", ""), rows)),
        ("Use", as_typed(f"mini-repr train --loss infonce --views {name}")),
        ("The code", highlighted(at.module, book.definition, at.name)),
    ]


def of_data(name, at, book):
    """What they are, settings, code."""
    settings = options_of(name) if name in GENERATED else {}
    rows = [(code(f"data.{n}"), f"default {value}") for n, value in settings.items()]
    return [
        ("", html(_text_of(at)[1:], book.named)),
        ("Settings", table(("", ""), rows)),
        ("The code", highlighted(at.module, book.definition, at.name)),
    ]


def of_standin(name, at, book):
    """What it stands for, how it is trained, code."""
    return [
        ("", html(_text_of(at), book.named)),
        ("", table(("", ""), [("trains for", f"about {STANDINS[name].seconds} s of one core")])),
        ("Train", as_typed(f"mini-repr standin train {name}")),
        ("The code", highlighted(at.module, book.definition)),
    ]


def of_command(name, command, book):
    """Usage, text, options, of a command or of each command of a group."""
    shown = []
    for path, one in _commands(name, command):
        context = click.Context(one, info_name=f"mini-repr {path}")
        options = [(code(", ".join(p.opts)), (p.help or "").strip()) for p in one.params if isinstance(p, click.Option)]
        usage = as_typed(one.get_usage(context).removeprefix("Usage: "))
        text = Markup().join(_help_paragraph(block) for block in inspect.cleandoc(one.help or "").split("\n\n"))
        title = f"mini-repr {path}" if path != name else ""
        shown += [(title, usage + text + table(("", ""), options))]
    at = Definition(command.callback.__module__)
    return [*shown, ("The code", table(("", ""), [_where(at, book)]))]


def _help_paragraph(block):
    """One paragraph of a command's help; click keeps the lines of those that begin with a backspace."""
    if block.startswith("\b"):
        return as_typed(block.removeprefix("\b\n"))
    return Markup("<p>{}</p>").format(block)


def _commands(path, command):
    yield path, command
    for name, one in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(f"{path} {name}", one)


def of_chapter(name, book):
    """A chapter, its links led to pages of the book."""
    return [("", chapter_html(chapter(name), book.file, lambda text: as_typed(text)))]


def of_source(module, book):
    """One whole file."""
    return [("", highlighted(module, book.definition))]


def _text_of(definition):
    """The paragraphs of the docstring of a definition, or of a file."""
    module = modules()[definition.module]
    node = module.defined[definition.name] if definition.name else module.tree
    return paragraphs(ast.get_docstring(node) or "")


def _paragraphs(thing):
    return paragraphs(inspect.getdoc(thing) or "")


def _where(definition, book):
    return "code", link(book.source(definition), definition.module)
