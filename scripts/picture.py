"""Draw the README's picture, the push of InfoNCE on a circle, as the book has it (extra ``book``).

python scripts/picture.py
"""

import re
from pathlib import Path

from mini_repr.book.pictures import push_on_a_circle
from mini_repr.losses import infonce

ROOT = Path(__file__).resolve().parents[1]


def main():
    style = (ROOT / "mini_repr/book/site/style.css").read_text(encoding="utf-8")
    colours = re.search(r":root \{.*?\n\}\n@media.*?\n\}\n", style, re.DOTALL)[0]
    picture = str(push_on_a_circle(infonce)).replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ', 1
    )
    head, _, rest = picture.partition(">")
    fonts = "text { font-family: system-ui, sans-serif; }"
    text = f"{head}><style>{colours}{fonts}</style>{rest}\n"
    (ROOT / "scripts" / "push.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
