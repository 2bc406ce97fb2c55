"""Costly sums with hand-written gradients, each once: for losses, metrics and methods."""
