"""The losses: one paper's loss is one page; folders say what is compared. ``all_losses()`` finds every page."""

import importlib
import pkgutil

from mini_repr.losses.contract import _registry


def all_losses():
    """{name: loss} of every page in this package, in order of folder and name. The first call imports the pages."""
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        if module.name.count(".") == 3:
            importlib.import_module(module.name)
    return dict(sorted(_registry.items(), key=lambda item: (item[1].folder, item[0])))
