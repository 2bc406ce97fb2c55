"""The book in a browser: Debian's chromium, driven by playwright, which downloads nothing here."""

import shutil
from collections import Counter

import pytest

from mini_repr.cli import main
from mini_repr.pages.registry import all_losses

pytest.importorskip("math_core", reason="the extra book is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright import sync_api

from mini_repr.book.build import build
from mini_repr.book.entries import all_entries

COMMANDS = {name: main.get_command(None, name) for name in main.list_commands(None)}
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
PICTURED = ("infonce", "vicreg", "supcon", "triplet", "barlow_twins", "siglip", "masked_regression", "sparsemax")
PAGES = (
    *(f"loss/{name}.html" for name in PICTURED),
    "claim/siglip.html",
    "metric/knn_accuracy.html",
    "primitive/candidate_logsumexp.html",
    "chapter/check.html",
    "chapter/follow_the_gradient.html",
    "command/train.html",
    "loss/index.html",
    "index.html",
)
# The smallest ratio of contrast between the text of an element and what lies behind it, and that text.
CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return luminance(colour);
    }
  };
  let worst = [99, ""];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.getClientRects().length) continue;
    const style = getComputedStyle(one);
    const [x, y] = [luminance(numbers(one.closest("svg") ? style.fill : style.color)), behind(one)];
    const ratio = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    if (ratio < worst[0]) worst = [ratio, one.textContent.slice(0, 40)];
  }
  return worst;
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The address of the whole book; the pages that are looked at have their pictures."""
    out = tmp_path_factory.mktemp("book")
    build(out, COMMANDS, with_pictures=False)
    whole = {name: (out / name).read_bytes() for name in ("search.js", "index.html", "loss/index.html")}
    build(out, COMMANDS, only=PICTURED)
    for name, content in whole.items():
        (out / name).write_bytes(content)
    return out.as_uri()


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, home):
    """``opened(page, width, scheme)``: a page of the book, and a failure if that logs anything or asks a network."""
    complaints, contexts = [], []

    def open_(name, width=1280, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda one: one.url.startswith(("file:", "data:")) or complaints.append(one.url))
        page.goto(f"{home}/{name}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 820, 1280])
def test_nothing_is_wider_than_the_screen(opened, name, width):
    assert opened(name, width).evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("loss/") and name != "loss/index.html"])
def test_formulas_and_pictures_are_drawn(opened, name):
    page = opened(name)
    heights = page.evaluate("[...document.querySelectorAll('math')].map((m) => m.getBoundingClientRect().height)")
    declared = all_losses()[name.removeprefix("loss/").removesuffix(".html")].tex
    assert bool(heights) == bool(declared) and all(height > 8 for height in heights)
    assert page.evaluate("[...document.querySelectorAll('math')].every((m) => !m.textContent.includes('\\\\'))")
    assert not heights or page.evaluate("document.fonts.check('16px \"STIX Two Math\"')")
    boxes = page.evaluate("[...document.querySelectorAll('svg.picture')].map((s) => s.getBoundingClientRect().height)")
    assert boxes and all(height > 60 for height in boxes)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out(opened, name, scheme):
    ratio, text = opened(name, scheme=scheme).evaluate(CONTRAST)
    assert ratio >= 4.5, text


def test_search_finds_names_aliases_and_variants_first(opened):
    page = opened("index.html")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    for word, expected in FIRST.items():
        page.fill("#search", word)
        assert page.get_attribute("#found a", "href") == expected, word
    page.keyboard.press("Enter")
    page.wait_for_url("**/" + expected)


FIRST = {name: f"loss/{name}.html" for name in all_losses()}
FIRST |= {alias: f"loss/{name}.html" for name, page in all_losses().items() for alias in page.aliases}
NAMES = {entry.name for entry in all_entries(COMMANDS)}
HOW_MANY_HAVE = Counter(variant for page in all_losses().values() for variant in page.variants)
FIRST |= {
    variant: f"loss/{name}.html"
    for name, page in all_losses().items()
    for variant in page.variants
    if HOW_MANY_HAVE[variant] == 1 and variant not in NAMES
}
FIRST |= {
    "nt_xent": "loss/infonce.html",
    "SimCLR": "method/simclr.html",
    "knn_accuracy": "metric/knn_accuracy.html",
    "batch_hard": "loss/triplet.html",
    "092": "paper/infonce.html",
    "precision": "command/precision.html",
}
