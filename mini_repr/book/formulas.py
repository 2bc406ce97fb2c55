"""TeX of the pages' declarations as MathML, which browsers set by themselves."""

import math_core
from markupsafe import Markup


def formulas(tex):
    """Displayed formulas, one for each paragraph of a TeX text, side by side where there is room.

    Raises:
        math_core.LatexError: what is no TeX: an unknown command, a brace without its partner.
    """
    shown = [Markup("<div>{}</div>").format(Markup(_converted(one))) for one in tex.strip().split("\n\n")]
    return Markup('<div class="formulas">{}</div>').format(Markup().join(shown))


def _converted(formula):
    # A converter of its own for each formula: nothing that one defines is known to the next.
    return math_core.LatexToMathML(fancy_error=False).convert_with_local_state(formula.strip(), displaystyle=True)
