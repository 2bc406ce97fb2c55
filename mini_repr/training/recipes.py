"""Settings with which a loss trains well on the embedded sets, where these are not its paper's.

A page keeps its paper's defaults; papers train large networks on large images. Chosen on training rows only.
"""

RECIPES = {
    "infonce": {"loss": {"temperature": 0.2}},
}


def recipe_of(loss):
    """Partial settings (nested dict) for a loss page."""
    return RECIPES.get(loss.name, {})
