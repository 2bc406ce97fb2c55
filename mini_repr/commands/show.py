"""`mini-repr show`: the page of a loss, metric, method, encoder, primitive, view, data set, setting or paper."""

import inspect
import textwrap
from dataclasses import fields

import click

from mini_repr.commands.errors import plain_errors
from mini_repr.commands.pager import echo_long
from mini_repr.pages.tables import folded, table, whole

# The sections of settings of a run whose name is not that of their kind of page.
SECTIONS = {"optimiser": "optimizer"}


@click.command(short_help="Show the page of a loss, metric, method, encoder or paper.")
@click.argument("name")
@click.option("--code/--no-code", default=True, help="Show the code under the page's text. Default: show it.")
@click.option("--plot", metavar="FILE", help="Of generated data: write a picture there too (.png, .svg, .pdf).")
@plain_errors
def show(name, code, plot):
    """Show the page of a loss: paper, definition, gradient, shapes, variants, code.

    NAME may also be a metric, a method, an encoder, an optimiser, a primitive, a view, a data set, a setting of runs or
    a paper (its key or number).

    \b
    mini-repr show infonce
    mini-repr show siamese --no-code
    mini-repr show layer_norm
    mini-repr show train.knn_every
    mini-repr show 092
    mini-repr show scenes --plot scenes.png
    """
    data = name.removeprefix("data:")
    text = _data(data, code) if data != name else _shown(name, code)
    if plot:
        from mini_repr.data.pictures import PICTURED, draw

        if data not in PICTURED:
            raise ValueError(
                f"show {name} --plot: generated data have pictures, such as mini-repr show scenes --plot FILE"
            )
        draw(data, plot)
    echo_long(text)


def _data(name, code):
    """The text on data that need no file: what it is, its settings if runs can train on it, code.

    Raises:
        ValueError: none is called so; names the nearest.
    """
    from mini_repr.book.parts import all_data
    from mini_repr.data import EMBEDDED, GENERATED, options_of
    from mini_repr.pages.names import suggestion

    if name not in all_data():
        raise ValueError(f"show data:{name}: no data of that name{suggestion(name, all_data())}")
    made = all_data()[name]
    settings = [(f"data.{n}", f"default {value}") for n, value in options_of(name).items()] if name in GENERATED else []
    parts = [
        f"data {name}" + (f": mini-repr train --data {name}" if name in EMBEDDED | GENERATED else ", from Python"),
        folded(inspect.getdoc(made)),
        table("settings, for --set", settings),
        inspect.getsource(made).partition('"""\n')[2].strip() if code and name not in EMBEDDED else "",
    ]
    return "\n\n".join(filter(None, parts))


def _shown(name, code):
    """The text on what is called ``name``, a paper by its key or number.

    Raises:
        ValueError: nothing is called so; names the nearest.
    """
    from mini_repr.book.parts import all_data, all_primitives, all_views
    from mini_repr.catalogue import papers
    from mini_repr.commands.run_settings import run_settings, settings_text
    from mini_repr.pages.field_names import called, variants_called
    from mini_repr.pages.names import suggestion
    from mini_repr.pages.page import KINDS
    from mini_repr.pages.registry import pages_of

    found, known_as = called(name)
    key = name.zfill(3) if name.isdecimal() else name
    texts = [f"{name} is {known_as.options()}"] if known_as else []
    texts += [_page(page, code) for page in found]
    texts += [_primitive(name, all_primitives()[name], code)] if name in all_primitives() else []
    texts += [_view(name, all_views()[name], code)] if name in all_views() else []
    texts += [_data(name, code)] if name in all_data() else []
    texts += filter(None, [settings_text(name)])
    owners = variants_called(name) if not texts else []
    rows = [(one.loss, pages_of("loss")[one.loss].variants[one.variant].description) for one in owners]
    texts += filter(None, [table(f"losses with a variant {name}, for mini-repr show", rows)])
    # A loss is what its paper is about; a method of that name is one part of it.
    if not any(page.kind == "loss" for page in found):
        texts += [_paper(paper) for paper in papers() if key in (paper.key, paper.number)]
    if texts:
        return "\n\n".join(texts)
    pages = (page for kind in KINDS for page in pages_of(kind).values())
    known = [*(n for page in pages for n in (page.name, *page.aliases)), *(p.key for p in papers())]
    known += [*all_primitives(), *all_views(), *all_data()]
    known += [path if "." in name else path.partition(".")[2] for path, *_ in run_settings()]
    kinds = ", ".join((*KINDS, "primitive", "view", "data set", "setting"))
    raise ValueError(f"show {name!r}: no {kinds} or paper of that name{suggestion(name, known)}")


def _primitive(name, function, code):
    """Where it stands, how it is called, its text, and its code, forward and backward."""
    parts = [
        f"primitive {name} ({function.__module__})",
        folded(f"{name}{inspect.signature(function)}"),
        folded(inspect.getdoc(function) or ""),
        _source(function.on_arrays) if code else "",
    ]
    return "\n\n".join(filter(None, parts))


def _view(name, cls, code):
    """What it does, its settings in the order in which they are typed, how one asks for it, code."""
    parts = [
        f"view {name}: mini-repr train --loss infonce --views {name}",
        folded(inspect.getdoc(cls) or ""),
        table("settings, in order: NAME=VALUE:VALUE", [(f.name, f"default {f.default}") for f in fields(cls)]),
        _source(cls) if code else "",
    ]
    return "\n\n".join(filter(None, parts))


def _paper(paper):
    lines = [
        f"paper {paper.number} {paper.key}: {paper.title}",
        f"{paper.authors}, {paper.year}{', ' + paper.link if paper.link else ''}",
        f"status: {paper.status}" + (f"; still missing: {paper.missing}" if paper.missing else ""),
        *([f"held against: {paper.fidelity}"] if paper.fidelity else []),
        f"where: {', '.join(paper.where) or 'planned for ' + ', '.join(paper.rooms)}",
        *_claim(paper),
    ]
    return "\n".join(map(folded, lines))


def _claim(paper):
    """The claim of a paper that has one, with its stored verdict: lines."""
    from mini_repr.claims.bench.keys import claim_keys, find_claim
    from mini_repr.claims.bench.report import deciding
    from mini_repr.claims.bench.results import stored

    if paper.key not in claim_keys():
        return []
    result = stored(paper.key)
    verdict = f"{result['verdict']} here: {deciding(result)}" if result else "not measured yet"
    command = whole(f"(mini-repr claim {paper.key} --stored)")
    return [f"claim: {find_claim(paper.key).says}", f"    {verdict} {command}"]


def _page(page, code):
    """Papers, text, arguments with ranges and defaults, variants, invariants, code."""
    from mini_repr.catalogue import paper
    from mini_repr.nn import Heads

    cited = [f"source: {page.own_paper}"] if page.own_paper else []
    for cites in map(paper, page.papers):
        cited += [f"paper {cites.number} {cites.key}: {cites.title} ({cites.cite()})", *_claim(cites)]
    place = f" (losses/{page.compares})" if page.kind == "loss" else ""
    is_class = isinstance(page.thing, type)
    section = f"{SECTIONS.get(page.kind, page.kind)}." if is_class else ""
    arguments = [(f"{section}{p.name}", p.default_text, str(p.annotation)) for p in page.parameters.values()]
    if getattr(page.thing, "heads", None):
        arguments += [
            (f"heads.{f.name}", f"default {getattr(page.thing.heads, f.name)}", str(f.type)) for f in fields(Heads)
        ]
    variants = [(name, f"{v.description} ({v.as_text})") for name, v in page.variants.items()]
    parts = [
        "\n".join(map(folded, [f"{page.kind} {page.name}{place}", *cited])),
        folded(page.text.strip()),
        table("settings, for --set" if is_class else "arguments", arguments),
        table("variants", variants),
        table("checked invariants", [(text,) for text in dict.fromkeys(i.description for i in page.invariants)]),
        *([_source(one) for one in (page.thing, page.literal) if one is not None] if code else []),
    ]
    return "\n\n".join(filter(None, parts))


def _source(made):
    return textwrap.dedent(inspect.getsource(made)).rstrip()
