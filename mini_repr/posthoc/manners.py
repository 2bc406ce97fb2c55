"""What scikit-learn asks of an object that it clones, searches and puts into pipelines, without depending on it.

A constructor stores its settings under their own names and does nothing else; ``fit`` checks them, and leaves what it
learnt in attributes whose names end in an underscore.
"""

import inspect

from mini_repr.pages.names import suggestion


class Manners:
    """Settings by name. A subclass has a constructor as above, and ``fit``."""

    def get_params(self, deep=True):
        """{setting: value}, as scikit-learn asks for it."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **settings):
        """Change settings; returns the object. What is fitted stays until the next fit.

        Raises:
            ValueError: a setting that it does not have.
        """
        known = list(self.get_params())
        for name, value in settings.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__}: {name}: no such setting{suggestion(name, known)}")
            setattr(self, name, value)
        return self

    def __repr__(self):
        defaults = inspect.signature(type(self)).parameters
        changed = [f"{n}={v!r}" for n, v in self.get_params().items() if v is not defaults[n].default]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self):
        """Of a transformer; only scikit-learn asks, so it is there."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), transformer_tags=TransformerTags())

    def __sklearn_is_fitted__(self):
        return bool(self._fitted())

    def _fitted(self):
        return {name: value for name, value in vars(self).items() if name.endswith("_") and not name.startswith("_")}


class Transformer(Manners):
    """Also has ``transform``, and needs nothing but rows to be fitted."""

    def fit_transform(self, z, y=None):
        """``fit``, then the same rows transformed."""
        return self.fit(z, y).transform(z)
