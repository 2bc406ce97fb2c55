"""Names that people type: find what they mean, or say what is near."""

import difflib
import re

from mini_repr.pages.registry import pages_of

# More known names than these are not put into an error, which is one line.
MOST_NAMES = 30


class UnknownName(ValueError):
    """A name that nothing has."""


def choose(what, name, known):
    """``name`` if it is known, else UnknownName with the nearest known one."""
    if not isinstance(name, str) or name not in known:
        raise UnknownName(f"{what} {name!r}: no such {what}{suggestion(name, known)}")
    return name


def suggestion(name, known):
    """ "did you mean X?", or all known names if they fit on a line; nothing where there are none."""
    if not known:
        return ""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(known)}" if len(known) <= MOST_NAMES else "; `mini-repr list` shows what there is"


def folded(name):
    """A name as it is compared: ``SupConLoss``, ``sup-con`` and ``supcon`` are one."""
    return re.sub("[^a-z0-9]", "", name.lower()).removesuffix("loss")


def choose_folded(what, name, known):
    """The known name that is ``name`` when both are folded, else UnknownName with the nearest known one."""
    if isinstance(name, str) and name not in known:
        name = {folded(one): one for one in known}.get(folded(name), name)
    return choose(what, name, known)


def find(kind, name):
    """The page of a kind by its name or an alias; capitals, hyphens and a "loss" at the end do not count.

    Raises:
        UnknownName: there is none; names the nearest.
    """
    pages = pages_of(kind)
    named = {alias: page for page in pages.values() for alias in page.aliases} | pages
    return named[choose_folded(kind, name, named)]


def find_loss(name):
    """The loss of that name or alias."""
    return find("loss", name)


def find_variant(loss, name):
    """The name of a variant of a loss page, however it is spelt.

    Raises:
        UnknownName: it has none of that name; names the nearest.
    """
    return choose_folded(f"variant of {loss.name}", name, loss.variants)
