"""Losses of attention maps, which steer what a trained model draws. No method trains them."""
