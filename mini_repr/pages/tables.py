"""Text for a terminal: tables and paragraphs, folded to its width.

Where nothing says how wide that is, as in a pipe or a file, it is 80 columns; ``COLUMNS=200 mini-repr list`` asks for
more. What people copy (a path, a command, a number) is longer than the width rather than broken.
"""

import re
import shutil
import textwrap

# The last column has at least so many characters; where less is left, or a word is longer, it stands below the others.
NARROWEST = 20
# In place of the spaces of what must not be broken.
JOINED = "\N{NO-BREAK SPACE}"
# Wider than any text: for files.
UNFOLDED = 10**9
POINTS = ("* ", "- ", ">>>")


def terminal_width():
    """Columns of the terminal, or COLUMNS, or 80."""
    return shutil.get_terminal_size().columns


def whole(text):
    """The same text, for a cell or a paragraph in which it must stay on one line, such as a command to be typed."""
    return text.replace(" ", JOINED)


def table(title, rows, width=None):
    """Left-aligned columns under a title, the last one folded. Empty without rows.

    Args:
        width: of the lines, by default of the terminal.
    """
    if not rows:
        return ""
    width = width or terminal_width()
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = folded(title, width).splitlines() if title else []
    for row in rows:
        start = "  " + "".join(f"{x!s:{w}}  " for x, w in zip(row, widths, strict=False))
        text, room = str(row[-1]), width - len(start)
        if len(text) <= room or max(NARROWEST, *map(len, text.split(" "))) <= room:
            first, *others = _wrapped(text, room) or [""]
            lines += [start + first, *(" " * len(start) + other for other in others)]
        else:
            lines += [start, *(" " * 6 + part for part in _wrapped(text, width - 6))]
    return "\n".join(line.rstrip() for line in lines).replace(JOINED, " ")


def numbers(rows, width=None):
    """Columns of numbers under their names, the first row: the first column to the left, the others to the right.

    As many stand side by side as fit; the others follow below, under the same first column.
    """
    width = width or terminal_width()
    first, *others = ([str(cell) for cell in column] for column in zip(*rows, strict=True))
    side = max(map(len, first))
    groups, used = [[]], side
    for column in others:
        needed = 2 + max(map(len, column))
        if used + needed > width and groups[-1]:
            groups, used = [*groups, []], side
        groups[-1].append(column)
        used += needed
    lines = []
    for group in groups:
        columns = [[cell.rjust(max(map(len, column))) for cell in column] for column in group]
        lines += ["  ".join([name.ljust(side), *cells]).rstrip() for name, *cells in zip(first, *columns, strict=True)]
    return "\n".join(lines)


def folded(text, width=None):
    """Paragraphs, folded where a line of one is too long: prose anew, what is indented below itself."""
    width = width or terminal_width()
    parts = re.split(r"(\n\s*\n)", text)
    shown = (part if max(map(len, part.split("\n"))) <= width else _paragraph(part, width) for part in parts)
    return "".join(shown).replace(JOINED, " ")


def _paragraph(text, width):
    """Lines that belong together are joined first: of prose, of a point, of an entry below "Args:"."""
    lines = text.split("\n")
    entries = lines[:1]
    for line in lines[1:]:
        indent, before = _indent(line), _indent(entries[-1])
        prose = indent == before == 0
        hangs = indent > before and (entries[-1].startswith(POINTS) or (before and not _indent(lines[0])))
        if (prose or hangs) and not line.lstrip().startswith(POINTS):
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line)
    return "\n".join(part for entry in entries for part in _entry(entry, width))


def _entry(text, width):
    """Lines of one entry. Wide gaps are columns: what stands after one is folded there, or moves below as a whole."""
    if text.startswith(">>>"):
        return [text]
    indent = _indent(text) if width - _indent(text) >= NARROWEST else 8  # what continued a column of a wide line
    lines = [""]
    for gap, part in re.findall(r"(^ *| {3,}|^)(.*?)(?= {3,}|$)", " " * indent + text.lstrip()):
        start = len(lines[-1]) + len(gap)
        if start + len(part) > width and lines[-1] and width - start < NARROWEST:
            lines.append(" " * (indent + 4))
            start, gap = indent + 4, ""
        below = start if lines[-1].strip() else indent + (4 if indent else 2 * part.startswith(POINTS))
        first, *others = _wrapped(part, width - start) or [""]
        if others:
            others = _wrapped(part[len(first) :].lstrip(), width - below)
        lines[-1] += gap + first
        lines += [" " * below + other for other in others]
    return lines


def _indent(line):
    return len(line) - len(line.lstrip())


def _wrapped(text, width):
    return textwrap.wrap(text, max(width, 1), break_on_hyphens=False, break_long_words=False)
