"""One file a format; ``mini_repr.data.load`` chooses among them. None of them ever loads a pickle."""
