"""What a run says while it trains, in one line each."""

# All rows about one direction: the least spread (``dimension_std``) of a run that learns something. Every loss is above
# 0.06 after one epoch, and a run at --lr 10 ends at 0.02.
COLLAPSED = 0.05


def headline(run, home):
    """One line that says what is about to be trained."""
    facts = facts_of(run)
    epochs = f"{facts['epochs']} epoch{'s' * (facts['epochs'] != 1)}"
    return (
        f"{facts['loss']} on {facts['data']} ({facts['rows']} rows), {facts['method']} with {facts['encoder']} of "
        f"{facts['parameters']:,} parameters, {epochs} on {facts['device']}{run.origin} -> {home.path}"
    )


def facts_of(run):
    settings = run.settings
    return {
        "loss": "+".join([settings["loss"]["name"], *settings["add"]]),
        "data": run.data.name,
        "rows": len(run.data.train),
        "method": settings["method"]["name"],
        "encoder": settings["encoder"]["name"],
        "parameters": run.method.parameter_count(),
        "epochs": settings["train"]["epochs"],
        "device": run.backend.name,
    }


def line(record, epochs):
    """An epoch's record for people: terms, gradient norm, collapse indicators."""
    own = ("epoch", "step", "loss", "gradient_norm", "learning_rate", "std", "effective_rank", "seconds")
    terms = [f"{n} {value:.4f}" for n, value in record.items() if n not in own and value != record["loss"]]
    indicators = f"std {record['std']:.2f}  rank {record['effective_rank']:.1f}"
    numbers = [f"loss {record['loss']:.4f}", *terms, f"grad {record['gradient_norm']:.4g}", indicators]
    return f"epoch {record['epoch']}/{epochs}  " + "  ".join(numbers)


def short_line(record):
    """The same for the place beside a progress bar."""
    return f"loss {record['loss']:.4f}  rank {record['effective_rank']:.1f}"


def collapse(record):
    """A warning where all rows of the last batch lie about one direction, or nothing."""
    if record["std"] >= COLLAPSED:
        return ""
    return (
        f"Warning: the embeddings have collapsed: std {record['std']:.3f} (1 is spread evenly, 0 is one point), "
        f"effective rank {record['effective_rank']:.1f}; try a lower --lr or --add uniformity=0.5"
    )
