"""Losses of two aligned sets of rows: two views, two modalities, query and document."""
