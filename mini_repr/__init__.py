"""mini_repr: an executable specification of representation learning."""

__version__ = "0.1.0"
