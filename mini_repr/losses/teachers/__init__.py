"""Losses of student and teacher outputs; the teacher is behind a stop-gradient."""
