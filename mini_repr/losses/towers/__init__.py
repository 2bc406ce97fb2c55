"""Losses of images beside captions, by their rows or their errors, that fit prompts to trained models."""
