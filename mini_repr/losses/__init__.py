"""The losses: one paper's loss is one page; the folders say what is compared."""
