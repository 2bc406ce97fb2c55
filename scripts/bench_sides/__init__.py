"""What ``scripts/bench.py`` measures: each row of its table once a side, a module of the sides' functions."""
