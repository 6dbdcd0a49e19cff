"""Opens a report in headless Chromium and checks what a reader would notice.

usage: check_page.py MAKE_PAGE FOLDER     makes a report of made-up runs in FOLDER and checks it
       check_page.py FILE.html FOLDER     checks this report; screenshots go to FOLDER
Exit code 77: there is no browser (a failure where SHARDRIFT_REQUIRE_TOOLS is set).
"""

import os
import pathlib
import subprocess
import sys

import chromium

READY = "Boolean(document.querySelector('html[data-ready]'))"
# Made-up reports beside the hostile one: kind, configurations.
PAGES = (("equal", 1), ("flipped", 1), ("mixed", 3), ("missing", 3), ("equal", 3), ("flipped", 3), ("mixed", 20), ("equal", 20),
         ("missing", 20), ("broken", 3), ("score", 3), ("foreign", 3))
SECTIONS = ("answer", "configurations", "speed", "survival", "prompts", "positions", "margins", "growth", "routes", "ladder", "orders",
            "tokens", "environment")
PHONE, DESKTOP = (360, 740), (1280, 900)
PAPER = (718, 900)  # what Letter and A4 have between margins

# Tables that reach past the sheet, and cells whose text reaches into the next.
TOO_WIDE_ON_PAPER = """((width) => [...document.querySelectorAll('table')].filter((node) => node.checkVisibility()).flatMap((node) => {
  const wide = node.getBoundingClientRect().right > width + 1 || node.scrollWidth > node.clientWidth + 1;
  const cells = [...node.querySelectorAll('th, td')].filter((cell) => cell.scrollWidth > cell.clientWidth + 1 || cell.getBoundingClientRect().right > width + 1);
  return [...(wide ? [node] : []), ...cells].map((one) => one.tagName + ' ' + one.textContent.slice(0, 40));
}))"""

# Anything that reaches past the right edge of the screen and is not inside something that scrolls by itself.
TOO_WIDE = """((width) => [...document.querySelectorAll('body *')].filter((node) => {
  const box = node.getBoundingClientRect();
  return box.width && node.checkVisibility() && box.right > width + 1 && !node.closest('.scroll, .row, .skip, .tip, svg');
}).map((node) => node.tagName + '.' + node.className))"""

# Every plot drew something, inside its own box.
EMPTY_PLOTS = """[...document.querySelectorAll('figure')].filter((figure) => {
  const svg = figure.querySelector('svg.plot');
  const drawn = [...svg.querySelectorAll('path')].some((path) => (path.getAttribute('d') || '').length > 10);
  return !drawn || svg.getBoundingClientRect().height < 150 || /NaN|Infinity/.test(svg.innerHTML);
}).map((figure) => figure.dataset.plot)"""

# WCAG 2: contrast of texts against what lies behind them (the nearest opaque background).
LOW_CONTRAST = """(() => {
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  const low = new Set();
  for (const node of document.querySelectorAll('p, h1, h2, dt, dd, th, td, a, summary, .tag, .chip[aria-pressed=true], .tile span, svg text')) {
    if (!node.textContent.trim() || !node.getClientRects().length || node.closest('.after')) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(node.closest('svg') ? style.fill : style.color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.add(`${node.tagName}.${node.getAttribute('class')} "${node.textContent.slice(0, 30)}" ${ratio.toFixed(2)}`);
  }
  return [...low];
})()"""

UNNAMED = """[...document.querySelectorAll('button, select, svg[role=img], [role=region], section')].filter((node) => {
  const label = node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || node.closest('label');
  return !label && !(node.tagName === 'BUTTON' && node.textContent.trim());
}).map((node) => node.outerHTML.slice(0, 120))"""


# The answer and the first tile are on the first screen.
FIRST_SCREEN = """['#answer .headline', '#answer .tile'].map((one) => Math.round(document.querySelector(one).getBoundingClientRect().bottom + scrollY))"""

# Everything that is green in any way and does not stand for equal bits.
GREEN = """[...document.querySelectorAll('body *')].filter((node) => {
  if (!node.getClientRects().length || node.closest('.same, .equal, .tag.good')) return false;
  const style = getComputedStyle(node);
  const seen = ['color', 'backgroundColor', 'borderLeftColor', 'borderTopColor', 'fill', 'stroke'].map((key) => style[key]);
  seen.push(getComputedStyle(node, '::before').backgroundColor, getComputedStyle(node, '::before').color);
  return seen.some((text) => {
    const [r, g, b, a] = (text.match(/[\\d.]+/g) || []).map(Number);
    return a !== 0 && g > r + 12 && g > b + 8;
  });
}).map((node) => node.outerHTML.slice(0, 100))"""

# What is marked as equal is equal; the whole answer only where every candidate is and nothing is missing.
GREEN_MEANS_EQUAL = """(() => {
  const {runs, verdict} = JSON.parse(document.getElementById('data').textContent);
  const candidates = runs.filter((run) => run.role === 'candidate');
  const equal = candidates.filter((run) => run.equality === 'bit-equal' && run.complete);
  const all = equal.length === candidates.length && !verdict.not_judged.length;
  const marked = [...document.querySelectorAll('#answer .candidates .equal strong')].map((node) => node.textContent).sort();
  return document.querySelector('#answer').classList.contains('same') === all &&
    marked.join() === equal.map((run) => run.name).sort().join() &&
    document.querySelectorAll('#configurations .tag.good').length === runs.filter((run) => run.equality === 'bit-equal').length;
})()"""

# Each as prominent as a candidate: in the answer, in the list, in the table.
NOT_JUDGED = """JSON.parse(document.getElementById('data').textContent).verdict.not_judged.filter(({name}) => {
  const seen = (selector) => [...document.querySelectorAll(selector)].some((node) => node.getClientRects().length && node.textContent.includes(name));
  return !(seen('#answer .headline') && seen('#answer .candidates .absent') && seen('#configurations tr.absent'));
}).map(({name}) => name)"""

# Numbers without their explanation.
UNEXPLAINED = """[...document.querySelectorAll('.tile, .candidates li, #configurations thead th:not(:first-child)')].filter((node) => !node.querySelector('.why'))
  .map((node) => node.textContent.slice(0, 60))"""


# Keys of limits that a reader meets without words; the list of limits has them in small beside the words.
RAW_KEYS = """(() => {
  document.querySelectorAll('#answer details').forEach((node) => { node.open = true; });
  const walker = document.createTreeWalker(document.getElementById('main'), NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (/\\b(bit_equal|changed_prompts|clear_flips|(clear_)?flip_regret|kl_mean|kl_p99|tv_mean|delta_p_\\w+|excess_error)\\b/.test(node.data) &&
      !node.parentElement.closest('code')) found.push(node.data.slice(0, 80));
  }
  document.querySelectorAll('#answer details:not(:first-child)').forEach((node) => { node.open = false; });
  return found;
})()"""

# Tables and squares that scroll sideways and do not say so, and on a phone those that should not have to.
SILENT_SCROLL = """[...document.querySelectorAll('.scroll')].filter((box) => box.checkVisibility() && box.matches(':has(> table, > .squares)') &&
  box.firstElementChild.getBoundingClientRect().width > box.clientWidth + 1 &&
  !(box.classList.contains('wide') && getComputedStyle(box, '::before').content.includes('scroll'))).map((box) => box.getAttribute('aria-label'))"""
SCROLLS_ON_A_PHONE = """[...document.querySelectorAll('table.cards, table.tokens')].filter((node) => node.checkVisibility() &&
  node.offsetWidth > node.parentElement.clientWidth + 1).map((node) => node.parentElement.getAttribute('aria-label'))"""

# The box of what is not comparable stands clear of the answer below it.
NEAR_THE_ANSWER = """(() => {
  const box = document.querySelector('#answer > details:first-child');
  return box ? document.querySelector('#answer .headline').getBoundingClientRect().top - box.getBoundingClientRect().bottom : null;
})()"""

# Lines of the survival plot that others cover: each point of a line drawn must show, in dashes of its own where it is shared.
HIDDEN_LINES = """(() => {
  const lines = [...document.querySelectorAll('[data-plot=survival] .line')].filter((node) => !/^1 /.test(node.getAttribute('stroke-dasharray') || ''));
  const at = new Map();
  for (const node of lines) {
    const look = node.classList.contains('shared') ? node.getAttribute('stroke-dashoffset') + ' of ' + node.getAttribute('stroke-dasharray') : 'whole';
    const same = at.get(node.getAttribute('d')) || [];
    at.set(node.getAttribute('d'), [...same, look]);
  }
  return [...at.values()].filter((looks) => looks.length > 1 && (looks.includes('whole') || new Set(looks).size < looks.length));
})()"""
SAME_LINES = """(() => {
  const {runs, survival} = JSON.parse(document.getElementById('data').textContent);
  const chosen = new Set([...document.querySelectorAll('.picker .chip[aria-pressed=true]')].map((chip) => chip.textContent));
  const groups = new Map();
  for (const one of survival) {
    if (runs.length > 1 && !chosen.has(runs[one.run].name)) continue;
    const curve = one.measured.map((p) => p.slice(0, 2)).join();
    groups.set(curve, [...(groups.get(curve) || []), runs[one.run].name]);
  }
  const said = document.querySelector('.same-lines:not([hidden])');
  return [...groups.values()].filter((names) => names.length > 1 && !(said && said.textContent.includes(names.join(' = '))));
})()"""


class Checks:
    def __init__(self) -> None:
        self.failed = 0

    def that(self, holds: bool, what: str, seen: object = "") -> None:
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {what}{'' if holds else f': {seen}'}")

    def none(self, found: list[object], what: str) -> None:
        self.that(not found, what, found[:8])


def check_drawing(checks: Checks, page: chromium.Page, width: int, where: str) -> None:
    checks.none(page.value(EMPTY_PLOTS), f"{where}: every plot is drawn")
    checks.none(page.value(f"{TOO_WIDE}({width})"), f"{where}: nothing sticks out to the right")
    reach = page.value("document.documentElement.scrollWidth")
    checks.that(reach <= width, f"{where}: no horizontal scrolling", f"{reach} > {width} pixels")
    checks.none(page.value(SILENT_SCROLL), f"{where}: tables that scroll say so")
    if width == PHONE[0]:
        checks.none(page.value(SCROLLS_ON_A_PHONE), f"{where}: tables fit, as cards")
    if page.value("Boolean(document.getElementById('survival'))"):
        checks.none(page.value(HIDDEN_LINES), f"{where}: no survival line hides another")
        checks.none(page.value(SAME_LINES), f"{where}: lines that are the same are named")


def check_paper(checks: Checks, page: chromium.Page, where: str) -> None:
    page.media("print")
    page.size(*PAPER)
    page.settle()
    checks.none(page.value(f"{TOO_WIDE_ON_PAPER}({PAPER[0]})"), f"{where}: on paper every table fits the sheet")
    reach = page.value("document.documentElement.scrollWidth")
    checks.that(reach <= PAPER[0], f"{where}: on paper nothing is cut", f"{reach} > {PAPER[0]} pixels")
    page.media()
    page.size(*DESKTOP)


def check_interaction(checks: Checks, page: chromium.Page) -> None:
    lines = "document.querySelectorAll('[data-plot=survival] .line').length"
    before = page.value(lines)
    page.value("document.querySelector('.chip').click()")
    checks.that(page.value(lines) < before, "a configuration can be taken out of the plots", before)
    page.value("document.querySelector('.chip').click()")
    checks.that(page.value(lines) == before, "and comes back")

    names = "[...document.querySelectorAll('#configurations tbody th')].map((n) => n.firstChild.childNodes[1].textContent).join()"
    unsorted = page.value(names)
    page.value("[...document.querySelectorAll('#configurations .sort')].find((n) => n.textContent.startsWith('KL mean')).click()")
    largest = page.value("Math.max(...runs.map((run) => run.kl.mean[0]))".replace("runs", "JSON.parse(document.getElementById('data').textContent).runs"))
    top = page.value("JSON.parse(document.getElementById('data').textContent).runs.find((run) => run.name === "
                     "document.querySelector('#configurations tbody th').firstChild.childNodes[1].textContent).kl.mean[0]")
    checks.that(page.value(names) != unsorted and top == largest, "the table sorts by a column", (top, largest))

    ticks = "[...document.querySelectorAll('[data-plot=survival] .axis text')].map((t) => t.textContent).join()"
    whole = page.value(ticks)
    page.value("document.querySelector('[data-plot=survival] [aria-label^=\"Zoom in\"]').click()")
    page.settle()
    checks.that(page.value(ticks) != whole, "a plot zooms in", whole)
    page.value("document.querySelector('[data-plot=survival] [aria-label^=Show]').click()")
    page.settle()
    checks.that(page.value(ticks) == whole, "and out again", page.value(ticks))

    box = page.value("(() => { const r = document.querySelector('[data-plot=survival] .catch'); r.scrollIntoView({block: 'center', "
                     "behavior: 'instant'}); const b = r.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    page.settle()
    checks.that(page.value("!document.getElementById('tip').hidden && document.getElementById('tip').textContent.includes('%')"),
                "pointing at a plot tells values")
    page.value("document.querySelector('[data-plot=growth] svg').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    checks.that(page.value("document.getElementById('tip').textContent.includes('layers run: 0')"), "so do arrow keys",
                page.value("document.getElementById('tip').textContent"))
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)

    page.value("document.querySelectorAll('figure details').forEach((d) => { d.open = true; })")
    page.settle()
    checks.none(page.value("[...document.querySelectorAll('figure')].filter((f) => f.querySelectorAll('tbody tr').length < 2)"
                           ".map((f) => f.dataset.plot)"), "every plot has its numbers as a table")
    page.value("document.querySelectorAll('figure details').forEach((d) => { d.open = false; })")
    checks.that(page.value("document.querySelector('#tokens tr.here').textContent.endsWith('<-- here')"), "the token table marks the flip")
    for axis in page.value("[...document.querySelector('#positions select').options].map((o) => o.value)"):
        page.value("{ const s = document.querySelector('#positions select'); s.value = '" + axis + "'; s.dispatchEvent(new Event('change')); }")
        page.settle()
        checks.none(page.value(EMPTY_PLOTS), f"plots are drawn along {axis}")


def check_explanations(checks: Checks, page: chromium.Page, where: str) -> None:
    checks.none(page.value(UNEXPLAINED), f"{where}: every tile, line and column has its explanation")
    for choose, how in (("document.querySelector('.tile .why').click()", "a tap"), ("document.querySelector('#configurations thead .why').click()", "a tap in a table")):
        page.value(choose)
        page.settle()
        box = page.value("(() => { const n = document.getElementById('note'); const b = n.getBoundingClientRect(); "
                         "return n.hidden ? null : [b.left, b.right, document.documentElement.clientWidth, n.textContent.length]; })()")
        checks.that(bool(box) and box[0] >= 0 and box[1] <= box[2] and box[3] > 60, f"{where}: {how} explains, within the screen", box)
        page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
        checks.that(page.value("document.getElementById('note').hidden"), f"{where}: Escape closes the explanation")
    page.value("document.querySelector('.candidates .why').focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r" if kind == "char" else "")
    checks.that(page.value("!document.getElementById('note').hidden && document.activeElement.getAttribute('aria-expanded') === 'true'"),
                f"{where}: so does the Enter key")
    page.value("document.querySelector('.note-box .close').click()")
    checks.that(page.value("document.getElementById('note').hidden && document.activeElement.matches('.candidates .why')"), f"{where}: and Close goes back")


def check_answer(checks: Checks, page: chromium.Page, where: str) -> None:
    """At the phone's size, at its top."""
    bottoms = page.value(FIRST_SCREEN)
    checks.that(max(bottoms) <= PHONE[1], f"{where}: the answer and the first tile fit on a phone's first screen", bottoms)
    checks.none(page.value(GREEN), f"{where}: green is for equal bits only")
    checks.that(page.value(GREEN_MEANS_EQUAL), f"{where}: what is green is equal")
    checks.none(page.value(NOT_JUDGED), f"{where}: what was not judged is in the answer, the list and the table")
    tiles = page.value("[...document.querySelectorAll('.tile')].map((t) => t.textContent)")
    checks.that(not any("nan" in text or "undefined" in text for text in tiles), f"{where}: tiles have values", tiles)
    broken = page.value("JSON.parse(document.getElementById('data').textContent).runs.filter((run) => run.without_value).length")
    cells = page.value("[...document.querySelectorAll('#configurations td')].filter((n) => n.textContent.startsWith('NaN in ')).length")
    checks.that(cells == 4 * broken, f"{where}: numbers that NaN leaves without a value say so", (cells, broken))


def check_squares(checks: Checks, page: chromium.Page, where: str) -> None:
    """A square of every kind opens what it stands for, by pointer and by keyboard."""
    told = "document.querySelector('.picked').textContent"
    kinds = page.value("[...new Set([...document.querySelectorAll('.squares .grid-cell')].map((n) => n.getAttribute('class').split(' ')[1]))]")
    for kind in kinds:
        place = page.value("(() => { const n = document.querySelector('.squares .grid-cell." + kind + "'); n.scrollIntoView({block: 'center', behavior: 'instant'}); "
                           "const b = n.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()")
        before = page.value(told)
        for event in ("mousePressed", "mouseReleased"):
            page.call("Input.dispatchMouseEvent", type=event, x=place[0], y=place[1], button="left", clickCount=1)
        page.settle()
        words = {"equal": "bit-equal", "same": "other bits", "flip": "another token", "open": "not known", "none": "not compared"}[kind]
        now = page.value(told)
        numbers = page.value("document.querySelectorAll('.picked dd').length")
        checks.that(now != before and words in now and (numbers > 0) == (kind != "none"), f"{where}: a square '{kind}' says what it stands for", now)
        frame = page.value("(() => { const b = document.querySelector('.grid-frame').getBoundingClientRect(); return [b.left, b.right]; })()")
        checks.that(frame[0] <= place[0] <= frame[1], f"{where}: and is framed", (frame, place))
    page.value("document.querySelector('.squares').focus()")
    seen = set()
    for key in ("ArrowLeft",) * 50 + ("ArrowUp",) * 25 + ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        seen.add(page.value(told))
    checks.that(len(seen) > 3, f"{where}: arrow keys choose squares", seen)
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter")  # the prompt that flips first is the first one
    page.settle()
    first = page.value("document.querySelector('.squares .grid-cell').classList.contains('flip')")
    chosen = page.value("[...document.querySelectorAll('#tokens select')].map((node) => node.selectedOptions[0].textContent).join(', ')")
    checks.that(not first or page.value(told).startswith(" " + chosen), f"{where}: Enter reads its tokens", (chosen, page.value(told)))


def check_made_up(checks: Checks, browser: chromium.Browser, program: pathlib.Path, folder: pathlib.Path) -> None:
    """Pages of other kinds: what the first screen says, and pictures to be looked at."""
    for kind, configurations in PAGES:
        where = f"{kind}-{configurations}"
        html = folder / f"{where}.html"
        subprocess.run([program, html, str(configurations), "36", "64", kind], check=True)
        page = browser.page()
        page.media()
        page.size(*PHONE, phone=True)
        page.open(html, READY)
        # What is not comparable comes before the answer, and takes the first screen.
        if kind in ("foreign", "missing"):
            checks.that(page.value(NEAR_THE_ANSWER) >= 12, f"{where}: what is not comparable stands clear of the answer", page.value(NEAR_THE_ANSWER))
        else:
            check_answer(checks, page, where)
        checks.none(page.value(RAW_KEYS), f"{where}: limits have words")
        check_drawing(checks, page, PHONE[0], f"{where}, phone")
        check_explanations(checks, page, f"{where}, phone")
        page.value("scrollTo(0, 0)")
        page.settle()
        page.screenshot(folder / f"{where}-phone.png", whole=False)
        page.media(dark=True)
        checks.none(page.value(GREEN), f"{where}: in dark mode, too")
        checks.none(page.value(LOW_CONTRAST), f"{where}: contrast in dark mode")
        page.screenshot(folder / f"{where}-dark.png", whole=False)
        page.media()
        page.size(*DESKTOP)
        check_drawing(checks, page, DESKTOP[0], f"{where}, desktop")
        check_squares(checks, page, f"{where}, desktop")
        checks.none(page.value(LOW_CONTRAST), f"{where}: contrast in light mode")
        page.screenshot(folder / f"{where}-desktop.png", whole=False)
        check_paper(checks, page, where)
        said = page.value("document.body.textContent")
        checks.that((kind == "mixed") == ("99% interval" in said) and (kind == "mixed") == ("95% interval" not in said),
                    f"{where}: intervals are of the verdict's confidence")
        page.pdf(folder / f"{where}-print.pdf")
        checks.none(page.messages, f"{where}: nothing was logged")


def check_page(checks: Checks, browser: chromium.Browser, html: pathlib.Path, folder: pathlib.Path, made_up: bool) -> None:
    page = browser.page()
    page.size(*DESKTOP)
    page.media()
    seconds = page.open(html, READY)
    print(f"     {html.stat().st_size / 2**20:.2f} MiB, ready after {seconds:.2f} s")
    sections = page.value("[...document.querySelectorAll('section')].map((s) => s.id)")
    if made_up:
        checks.that(sections == list(SECTIONS), "every section is there, the answer first", sections)
    check_drawing(checks, page, DESKTOP[0], "desktop")
    checks.none(page.value(UNNAMED), "every control, plot and region has a name")
    checks.none(page.value(LOW_CONTRAST), "contrast in light mode")
    page.screenshot(folder / "desktop.png")
    if made_up:
        check_interaction(checks, page)

    page.media(dark=True)
    checks.none(page.value(LOW_CONTRAST), "contrast in dark mode")
    checks.that(page.value("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)", "dark mode is dark")
    page.screenshot(folder / "dark.png")

    page.media()
    page.size(*PHONE, phone=True)
    check_drawing(checks, page, PHONE[0], "phone")
    check_explanations(checks, page, "phone")
    page.screenshot(folder / "phone.png")
    page.size(*DESKTOP)

    page.media("print", dark=True)
    checks.that(page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", "paper is white, dark mode or not")
    checks.that(page.value("[...document.querySelectorAll('.tools, .controls, .why')].every((n) => !n.getClientRects().length)"),
                "no buttons on paper")
    checks.that(page.value("document.querySelectorAll('#glossary dt').length > 8 && document.querySelector('#glossary dl').getClientRects().length > 0"),
                "explanations are a list on paper")
    check_paper(checks, page, "report")
    page.pdf(folder / "print.pdf")
    pdf = (folder / "print.pdf").read_bytes()
    pages = pdf.count(b"/Type /Page\n") or pdf.count(b"/Type/Page/")
    checks.that(pdf.startswith(b"%PDF") and pages > 1, "prints", f"{len(pdf)} bytes, {pages} pages")

    checks.that(page.value("typeof hostile") == "undefined", "no script from the data ran")
    checks.that(page.value("document.images.length") == 0, "no element from the data was made")
    checks.none(page.messages, "nothing was logged")
    checks.none([url for url in page.requests if url != html.resolve().as_uri() and not url.startswith("data:")], "nothing was requested")


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 64
    source, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    path = chromium.program()
    if path is None:
        print(f"no browser: none of {', '.join(chromium.PROGRAMS)} is installed (scripts/setup --tests installs chromium)")
        return 1 if "SHARDRIFT_REQUIRE_TOOLS" in os.environ else 77
    folder.mkdir(parents=True, exist_ok=True)
    made_up = source.suffix != ".html"
    html = folder / "report.html" if made_up else source
    if made_up:
        subprocess.run([source, html, "9", "24", "64"], check=True)
    checks = Checks()
    with chromium.Browser(path) as browser:
        check_page(checks, browser, html, folder, made_up)
        if made_up:
            check_made_up(checks, browser, source, folder)
    print(f"{checks.failed} checks failed; screenshots: {folder}")
    return int(checks.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
