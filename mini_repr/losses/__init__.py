"""The losses: one paper's loss is one page; the folders say what is compared.

``from mini_repr.losses import infonce`` finds every loss by its name, wherever it lives.
"""

from mini_repr.pages.registry import COMPARES, all_losses


def __getattr__(name):
    if name.startswith("_") or name in COMPARES:  # a folder, which the import looks for next
        raise AttributeError(name)
    if name not in all_losses():
        raise AttributeError(f"mini_repr.losses has no {name}; `mini-repr list --losses` names those that there are")
    return all_losses()[name]


def __dir__():
    return [*globals(), *all_losses()]
