"""Losses of one set of rows alone: regularisers that add to any other loss."""
