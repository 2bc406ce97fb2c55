"""Settings with which a loss trains well on the embedded sets, where these are not its paper's.

A page keeps its paper's defaults; papers train large networks on large images. Chosen on training rows only.
"""

RECIPES = {
    "infonce": {"loss": {"temperature": 0.2}},
    # One scale and a window that fits images of 8 pixels; the published code's clipping has no gradient at the start.
    "ms_ssim": {"loss": {"window": 5, "negative": "normalize"}, "encoder": {"name": "mlp"}},
}


def recipe_of(loss):
    """Partial settings (nested dict) for a loss page."""
    return RECIPES.get(loss.name, {})
