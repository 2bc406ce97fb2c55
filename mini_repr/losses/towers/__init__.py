"""Losses of rows of images beside rows of class texts, by which prompts of a trained pair of towers are fitted."""
