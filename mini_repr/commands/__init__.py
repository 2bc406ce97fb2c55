"""The commands of ``mini-repr``, one per file. Numerical modules are imported inside, so that help is instant."""
