"""Unlearning: a trained network forgets some of its training rows, as if it had never seen them."""
