"""Losses of rows and class labels."""
