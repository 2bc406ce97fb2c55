"""Theorems about representations as functions: closed forms, and both sides of a bound, on known distributions.

Each takes arrays that say exactly what a distribution is (a pool of labelled rows, a joint table of probabilities,
covariance matrices), so that an identity can be tested and a bound watched while the distribution changes.
``pages_of("theorem")`` lists them; ``mini-repr theorem NAME FILE.npz`` evaluates one.
"""

from mini_repr.metrics.theory.latent_class import latent_class_bound
from mini_repr.metrics.theory.pretext import cca, conditional_dependence
from mini_repr.metrics.theory.spectral import balanced_layers, spectral_minimiser
from mini_repr.metrics.theory.sufficiency import excess_risk, sufficiency
