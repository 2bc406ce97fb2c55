"""The primitives: each one a forward line and its hand-written backward line, side by side."""
