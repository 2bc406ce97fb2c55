"""The book: chapters, and from the declarations themselves a page for everything that there is; a report on runs."""
