"""A study as one SVG: bars of the headline figure, whiskers from the lowest to the highest round."""

from typing import Any
from xml.sax.saxutils import escape

from bench.figures import human, times
from bench.peers import OURS, Bare
from bench.report import Line, lines

WIDTH, LABEL, FIGURE, BAR, GAP = 860, 230, 150, 18, 6
COLOURS = {OURS: "#1f6feb", Bare.name: "#9aa4b2"}
OTHERS = "#d29922"


def draw(found: dict[str, Any]) -> str:
    """Return the chart of a case as SVG text."""
    titles = {one["name"]: one["title"] for one in found["contenders"]}
    body: list[str] = [_text(16, 28, found["title"], size=17, weight="bold")]
    y = 52
    for workload in found["workloads"]:
        part, y = _workload(workload, titles, y)
        body += part
    for note in _notes(found):
        body.append(_text(16, y, note, size=10, colour="#57606a"))
        y += 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 6}" width="{WIDTH}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(found["title"])}">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _workload(workload: dict[str, Any], titles: dict[str, str], y: int) -> tuple[list[str], int]:
    metric = workload["metrics"][0]
    shown = lines(workload)
    top = max((line.headline.high for line in shown if line.headline), default=0) or 1
    better = "more is better" if metric["more_is_better"] else "less is better"
    out = [_text(16, y, f"{workload['title']}: {metric['unit']}, {better}", size=12, weight="bold")]
    y += 10
    for line in shown:
        out += _bar(line, titles[line.name], top, y)
        y += BAR + GAP
    return out, y + 22


def _bar(line: Line, title: str, top: float, y: int) -> list[str]:
    middle = y + BAR - 5
    out = [_text(LABEL - 8, middle, title, size=11, anchor="end")]
    if line.headline is None:
        return [*out, _text(LABEL, middle, f"not measured: {line.why}"[:105], size=10, colour="#8c959f")]
    scale = (WIDTH - LABEL - FIGURE) / top
    value, low, high = line.headline.median * scale, line.headline.low * scale, line.headline.high * scale
    colour = COLOURS.get(line.name, COLOURS[OURS] if line.name.startswith(OURS) else OTHERS)
    out.append(f'<rect x="{LABEL}" y="{y}" width="{max(value, 1):.1f}" height="{BAR}" fill="{colour}" rx="2"/>')
    half = y + BAR / 2
    left, right = LABEL + low, LABEL + high
    path = f"M{left:.1f} {half}H{right:.1f}M{left:.1f} {half - 4}v8M{right:.1f} {half - 4}v8"
    out.append(f'<path d="{path}" stroke="#24292f" stroke-width="1" fill="none"/>')
    text = human(line.headline.median) + (f"  (ours {times(line.ratio.median)})" if line.ratio else "")
    return [*out, _text(LABEL + max(value, high) + 6, middle, text, size=11)]


def _notes(found: dict[str, Any]) -> list[str]:
    on = found["machine"]
    where = "; ".join(
        [f"{on['processor']}, {on['cores']} cores, {on['memory']}", on["kernel"], f"files on {on['disk']}"]
    )
    when = f"rounds: {found['rounds']}; {found['at']}"
    quick = ["A quick trial: its figures mean nothing."] if found["quick"] else []
    versions = [f"{one['title']}: {one['version']}" for one in found["contenders"] if one["version"]]
    return [*quick, f"Bars: median; whiskers: lowest and highest round. {where}; {when}", *versions]


def _text(
    x: float, y: float, text: str, *, size: int, weight: str = "normal", anchor: str = "start", colour: str = "#24292f"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )
