"""Losses of a prediction, its target and a mask."""
