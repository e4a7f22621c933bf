"""Colours and style sheet of a concept graph, for light and dark pages, on screen and on paper."""

from __future__ import annotations

from html import escape

from ...names import unknown

# the house palette without its blues, which belong to the strength of an edge
CLASS_COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#8C6BB1", "#A6761D", "#66A61E", "#777777")
LEVELS = ("#D3DAE1", "#AFC3D6", "#84A9CC", "#528CBE", "#2269A6", "#0A437D")  # weak to strong on a light page
DARK_LEVELS = ("#343C44", "#35505F", "#33687F", "#3A86A8", "#56AEDA", "#9ADCFF")  # and on a dark one
INK, MUTED, PAPER = "#222222", "#666C70", "#FFFFFF"
FONT = 'ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif'

LIGHT_RULE = f"--ink:{INK};--muted:{MUTED};--paper:var(--pst-color-background,{PAPER});--plate:#F4F6F7;--line:#CBD2D6;"
DARK_RULE = "--ink:#E8EBEC;--muted:#A3ACB1;--paper:var(--pst-color-background,#14181E);--plate:#1E252B;--line:#46525A;"
# Sphinx themes, JupyterLab, VS Code, and the file opened alone
DARK = ('html[data-theme="dark"] {0}', '[data-jp-theme-light="false"] {0}', "body.vscode-dark {0}")
RULES = """
{0}{{{light}display:block;width:100%;max-width:880px;height:auto;margin:0 auto;overflow:visible}}
{0}{{font-family:{font};color:var(--ink)}}
{dark}{{{night}}}
@media (prefers-color-scheme:dark){{{0}:root{{{night}background:#14181E}}}}
{0} text{{fill:var(--ink);font-size:11.5px;text-anchor:middle}}
{0} .head{{font-size:12.5px;font-weight:600}}
{0} .name{{paint-order:stroke;stroke:var(--paper);stroke-width:3.5px;stroke-linejoin:round}}
{0} .class{{font-size:14.5px;font-weight:650}}
{0} .soft{{fill:var(--muted)}}
{0} .left{{text-anchor:start}}
{0} .right{{text-anchor:end}}
{0} .edge{{fill:none;stroke-linecap:round;transition:opacity .15s}}
{0} .card{{fill:var(--paper)}}
{0} .ring{{fill:none;stroke-width:2.5px;pointer-events:all}}
{0} .node{{cursor:pointer;outline:none;transition:opacity .15s}}
{0} .node:hover .ring,{0} .node:focus .ring{{stroke-width:5px}}
{0} .panel{{display:none}}
{0} .panel .plate{{fill:var(--plate);stroke:var(--line);filter:drop-shadow(0 5px 14px rgba(0,0,0,.28))}}
{0} .panel .rule{{stroke:var(--line)}}
{0} .panel .title{{font-size:18px;font-weight:650}}
{0}:has(.node:hover) .edge,{0}:has(.node:focus) .edge{{opacity:.1}}
{0}:has(.node:hover) .node,{0}:has(.node:focus) .node{{opacity:.3}}
@media print{{{0} .hint{{display:none}}}}
figure:has(>figcaption {0})>img,figure:has(>figcaption {0})>a{{display:none}}
figure:has(>figcaption {0})>figcaption{{display:flex;flex-direction:column-reverse;gap:.5rem}}
"""


def class_colour(c: int) -> str:
    """Give the colour of a class by its place in the graph."""
    if c >= len(CLASS_COLOURS):
        raise ValueError(unknown("colour for class", c, range(len(CLASS_COLOURS))) + "; draw fewer classes at once")
    return CLASS_COLOURS[c]


def level(share: float) -> int:
    """Find the step of the colour scale for a share in [0, 1]."""
    return min(int(share * len(LEVELS)), len(LEVELS) - 1)


def width(share: float) -> float:
    """Give the width of an edge in units of the drawing."""
    return 0.8 + 5.7 * share


def sheet(key: str) -> str:
    """Write the rules that all nodes and edges share, for one graph on the page."""
    name = f"#{key}"
    lines = [RULES.format(
        name, light=LIGHT_RULE, night=DARK_RULE, font=FONT, dark=",".join(rule.format(name) for rule in DARK)
    )]  # fmt: skip
    for k, (day, night) in enumerate(zip(LEVELS, DARK_LEVELS, strict=True)):
        here = f"{name} .s{k}"
        dark = ",".join(rule.format(here) for rule in DARK)
        lines.append(f"{here}{{stroke:{day};stop-color:{day}}}{dark}{{stroke:{night};stop-color:{night}}}")
        lines.append(f"@media (prefers-color-scheme:dark){{{name}:root .s{k}{{stroke:{night};stop-color:{night}}}}}")
    return "\n".join(lines).strip()


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Write one line of words at a point."""
    look = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{look}>{escape(words)}</text>'


def shortened(words: str, room: float, size: float = 11.5) -> str:
    """Cut words that are too long for their room, by the mean width of a letter."""
    most = max(int(room / (0.54 * size)), 3)
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"
