"""Plain text tables."""

import shutil
import sys
import textwrap

# The last column keeps at least so many characters, however narrow the terminal.
NARROWEST = 24


def terminal_width():
    """How wide a terminal is that reads the output; None where a file or another program does."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(title, rows, width=None):
    """Left-aligned columns under a title; the last one runs free, or is folded to ``width``. Empty without rows."""
    if not rows:
        return ""
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [title]
    for row in rows:
        start = "  " + "".join(f"{x!s:{w}}  " for x, w in zip(row, widths, strict=False))
        text = str(row[-1])
        if width:
            room = max(width - len(start), NARROWEST)
            text = f"\n{' ' * len(start)}".join(textwrap.wrap(text, room, break_on_hyphens=False) or [""])
        lines.append((start + text).rstrip())
    return "\n".join(lines)
