"""Losses of scores over classes or candidates, and a target."""
