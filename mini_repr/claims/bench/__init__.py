"""What claims share: see ``claim.py``."""
