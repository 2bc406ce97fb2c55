"""MMRL: tokens that both towers read adapt them to classes of which there are few images, and leave others alone.

Guo, Gu 2025, arXiv 2503.08497. Five classes of digits turned by 20 degrees on scenes, ten images each, the stand-in
``scenes-clip`` (two trainings of it, by the parity of the seed), three tokens from the second of three blocks, 100
steps of 16 images; learning rate: for each arm the best of three on two of the ten images of each class, fitted on the
other eight; then fitted on all. *zero-shot*: the towers as they are; *no anchor*: without the terms that hold them;
*mmrl*: with, weight 0.5. *base*: accuracy on turned test digits of these classes, predicted by both rows; *new*: of the
other five among themselves, by the image's row alone; *both*: harmonic mean of these two; *new, both rows*: of the new
classes, predicted as the base classes are.
"""

from mini_repr.claims.bench.adapted import Adaptation
from mini_repr.claims.bench.claim import Claim, Expectation, higher


def measure(seed):
    adaptation = Adaptation(seed)
    found = {"zero-shot": adaptation.zero_shot()}
    for arm, anchor in (("no anchor", 0.0), ("mmrl", 0.5)):
        found[arm] = adaptation.measured({}, anchor=anchor)
    return found


def decoupled(arms):
    return arms["mmrl"]["new"] - arms["mmrl"]["new, both rows"]


CLAIM = Claim(
    paper="058",
    says="tokens for both towers, held near them, classify seen classes better and new ones no worse",
    measure=measure,
    expects=(
        higher("base", "mmrl", "zero-shot", by=0.03),
        higher("new", "mmrl", "no anchor"),
        higher("both", "mmrl", "zero-shot"),
        Expectation("mmrl: new > new, both rows", decoupled),
    ),
    seeds=8,
    designs=1,
)
