"""How anything from a paper is declared, found and checked: see ``page.py``."""
