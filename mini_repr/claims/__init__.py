"""One short experiment per paper, ``claims/KEY.py``; what they share is in ``bench/``."""
