"""Losses of maps, of attention, density or features of places, which steer what a trained model draws."""
