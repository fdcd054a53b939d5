"""
What the reports have in common: look, charts and tables of one page that needs nothing else.

Charts are drawn as SVG, by hand, so that the page needs no script and the program no plotting
library; pictures are within the page.
"""

from base64 import b64encode
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.calibration import reliability
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.reports.look import look

# What the reports have beyond the shared style sheet.
STYLE = """
main { max-width: 74rem; margin: 0 auto; padding: .9rem; display: grid; gap: .9rem;
  grid-template-columns: minmax(0, 1fr); }
h1 { overflow-wrap: anywhere; }
p { max-width: 46rem; } .card > * + p, .card > p + * { margin-top: .5rem; }
.soft, figcaption { color: var(--soft); }
.verdict { font-size: 1.3rem; font-weight: 700; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.2rem; }
.figures b { display: block; font-size: 1.6rem; }
.figures small { display: block; color: var(--soft); }
td small { color: var(--soft); white-space: nowrap; }
td.text { text-align: left; overflow-wrap: anywhere; }
code { white-space: nowrap; }
.charts { display: grid; gap: .9rem 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.charts h3 { font-size: 1rem; }
figcaption { font-size: .9rem; overflow-wrap: anywhere; }
.pictures { display: grid; gap: .7rem;
  grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.pictures img { width: 100%; aspect-ratio: 4 / 3; object-fit: cover; border-radius: .4rem;
  background: var(--stage); display: block; }
@media (max-width: 30rem) { main { padding: .6rem; gap: .6rem; }
  td, th { padding: .25rem .2rem; font-size: .85rem; } td small { font-size: .7rem; } }
svg { width: 100%; max-width: 34rem; height: auto; } svg .axis { stroke: var(--line); }
svg .curve { stroke: var(--mark); fill: none; stroke-width: 2; }
svg .second { stroke: var(--doubt); stroke-dasharray: 2 3; } svg .mark { fill: var(--bad); }
svg .bar { fill: var(--mark); }
svg .ideal { stroke: var(--soft); stroke-dasharray: 4 4; }
"""
WIDTH, HEIGHT, PAD = 390, 260, 64
# Above this many labels a square table cannot be read.
LARGEST_TABLE = 12
CONFUSION = 'Which label was taken for which'
WORST = 12


@dataclass(frozen=True)
class Mistake:
    """
    A prediction with a great NLL.

    Attributes
    ----------
    name, label : the photo and its label
    answer : the label that it was taken for
    nll : nats
    pixels : gives its picture, (H, W, 3) uint8 RGB

    """

    name: str
    label: str
    answer: str
    nll: float
    pixels: Callable[[], Pixels]


def page(title: str, subtitle: str, *parts: str) -> str:
    """
    Put a report together.

    Parameters
    ----------
    title : what it is of
    subtitle : when it was made, and of what, as HTML
    parts : of its content, as HTML; '' is left out

    Returns
    -------
    The whole page

    """
    content = '\n'.join(filter(None, parts))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{look()}{STYLE}</style>
<body>
<header><h1>{escape(title)}</h1><p class="line">{subtitle}</p></header>
<main>
{content}
</main>
</body>
</html>
"""


def section(title: str, *parts: str) -> str:
    """Lay out a part of a report with its heading; '' without any content."""
    content = '\n'.join(filter(None, parts))
    return content and f'<section class="card"><h2>{title}</h2>{content}</section>'


def figures(*each: str) -> str:
    """Lay out the report's main figures, each as ``figure`` shows it."""
    return f'<section class="card"><div class="figures">{"".join(each)}</div></section>'


def figure(name: str, value: str, interval: str = '') -> str:
    """Show one figure large, with its name and its 95 % interval below."""
    return f'<div><b>{value}</b>{name}<small>{interval}</small></div>'


def chart(title: str, across: str, up: str, points: Sequence[tuple[float, float]], note: str, *,
          logarithmic: bool = False) -> str:
    """Draw a measured curve with a dot at each point; '' for fewer than 2 points."""
    if len(points) < 2:
        return ''
    x = np.array([p[0] for p in points], float)
    y = np.array([p[1] for p in points], float)
    place = np.log(x) if logarithmic else x
    left, right = float(place.min()), float(place.max())
    top = float(y.max()) * 1.15 or 1.0
    spread = right - left or 1.0
    sx = PAD + (place - left) / spread * (WIDTH - PAD - 16)
    sy = HEIGHT - PAD - y / top * (HEIGHT - PAD - 16)
    line = ' '.join(f'{a:.1f},{b:.1f}' for a, b in zip(sx, sy, strict=True))
    dots = ''.join(
        f'<circle class="bar" cx="{a:.1f}" cy="{b:.1f}" r="3.5"><title>{v:g}: {n:.3f}</title>'
        f'</circle><text x="{a:.1f}" y="{HEIGHT - PAD + 16}" text-anchor="middle">'
        f'{v:g}</text>' for a, b, v, n in zip(sx, sy, x, y, strict=True))
    body = f'<polyline class="curve" points="{line}"/>{dots}'
    return _svg(title, across, up, body, _scale(top), note)


def curves(title: str, across: str, up: str,
           lines: Sequence[tuple[str, Sequence[tuple[float, float]]]],
           mark: tuple[float, float, str] | None, note: str) -> str:
    """
    Draw curves of many points over 0 to 1 on one scale.

    Parameters
    ----------
    title, across, up, note : of the chart and its axes
    lines : the name of each curve, and its points (x in 0..1, y from 0 up); two at most
    mark : a point (x, y, its name) to stand out

    Returns
    -------
    HTML; '' without a point

    """
    heights = [y for _, points in lines for _, y in points] + ([mark[1]] if mark else [])
    if not heights:
        return ''
    top = max(heights) * 1.15 or 0.01
    inner_w, inner_h = WIDTH - PAD - 16, HEIGHT - PAD - 16

    def place(x: float, y: float) -> str:
        return f'{PAD + x * inner_w:.1f},{HEIGHT - PAD - y / top * inner_h:.1f}'

    body = ''
    for number, (name, points) in enumerate(lines):
        if not points:
            continue
        path = ' '.join(place(x, y) for x, y in points)
        kind = 'curve' if number == 0 else 'curve second'
        y = 20 + 16 * number
        body += (f'<polyline class="{kind}" points="{path}"/><line class="{kind}" x1="{PAD + 10}" '
                 f'y1="{y - 4}" x2="{PAD + 30}" y2="{y - 4}"/><text x="{PAD + 36}" y="{y}">'
                 f'{escape(name)}</text>')
    if mark:
        x, y_up = place(mark[0], mark[1]).split(',')
        body += (f'<circle class="mark" cx="{x}" cy="{y_up}" r="5"><title>{escape(mark[2])}'
                 '</title></circle>')
    body += _shares()
    return _svg(title, across, up, body, _scale(top), note)


def reliability_chart(log_p: NDArray[np.float64], truth: NDArray[np.int64]) -> str:
    """Draw how often predictions of each probability are right."""
    inner_w, inner_h = WIDTH - PAD - 16, HEIGHT - PAD - 16
    body = (f'<line class="ideal" x1="{PAD}" y1="{HEIGHT - PAD}" x2="{WIDTH - 16}" y2="16"/>')
    for part in reliability(log_p, truth, 10):
        if not part.count:
            continue
        x = PAD + part.confidence * inner_w
        y = HEIGHT - PAD - part.accuracy * inner_h
        radius = 2.5 + 7 * np.sqrt(part.count / len(truth))
        body += (f'<circle class="bar" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>'
                 f'{part.count} predictions, confidence {part.confidence:.2f}, right '
                 f'{part.accuracy:.2f}</title></circle>')
    body += _shares()
    return _svg('Do the probabilities mean what they say', 'probability that the model gives',
                'share that is right', body, _scale(1.0),
                'On the dashed line they do; below it the model is too sure. A larger dot stands '
                'for more predictions.')


def _shares() -> str:
    return ''.join(
        f'<text x="{PAD + share * (WIDTH - PAD - 16):.0f}" y="{HEIGHT - PAD + 16}" '
        f'text-anchor="middle">{share:g}</text>' for share in (0.0, 0.5, 1.0))


def _scale(top: float) -> str:
    return ''.join(
        f'<text x="{PAD - 6}" y="{HEIGHT - PAD - s * (HEIGHT - PAD - 16) + 4:.0f}" '
        f'text-anchor="end">{s * top:.2g}</text>' for s in (0.0, 0.5, 1.0))


def _svg(title: str, across: str, up: str, body: str, scale: str, note: str) -> str:
    return (f'<figure><h3>{title}</h3><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{title}"><line class="axis" x1="{PAD}" y1="{HEIGHT - PAD}" '
            f'x2="{WIDTH - 8}" y2="{HEIGHT - PAD}"/><line class="axis" x1="{PAD}" y1="8" '
            f'x2="{PAD}" y2="{HEIGHT - PAD}"/>{scale}{body}<text x="{(WIDTH + PAD) / 2:.0f}" '
            f'y="{HEIGHT - 6}" text-anchor="middle">{across}</text><text x="11" '
            f'y="{(HEIGHT - PAD) / 2:.0f}" text-anchor="middle" transform="rotate(-90 11 '
            f'{(HEIGHT - PAD) / 2:.0f})">{up}</text></svg><figcaption>{note}</figcaption>'
            '</figure>')


def table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """
    Lay out a table; a wide one scrolls within the page.

    Parameters
    ----------
    name : for who hears it read
    head : its columns; none: each row is a name and a text
    rows : of HTML cells; the first one names the row

    """
    top = ('<thead><tr>' + ''.join(f'<th scope="col">{cell}</th>' for cell in head)
           + '</tr></thead>' if head else '')
    kind = '' if head else ' class="text"'
    body = ''.join(f'<tr><th scope="row">{row[0]}</th>'
                   + ''.join(f'<td{kind}>{cell}</td>' for cell in row[1:]) + '</tr>'
                   for row in rows)
    return (f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(name)}"><table>'
            f'{top}<tbody>{body}</tbody></table></div>')


def cell(row: Mapping[str, float], name: str) -> str:
    """Write a figure with the ends of its 95 % interval below, for a table; '-' for nan."""
    return '-' if np.isnan(row[name]) else (
        f'{row[name]:.3f}<br><small>{row[f"{name}_ci_low"]:.2f}&ndash;'
        f'{row[f"{name}_ci_high"]:.2f}</small>')


def confusion_table(labels: Sequence[str], confusion: NDArray[np.int64]) -> str:
    """
    Lay out which label was taken for which.

    Parameters
    ----------
    labels : K
    confusion : (K, K) counts, a row per true label; of more than 12 labels only the most frequent
        confusions are listed

    """
    if len(labels) > LARGEST_TABLE:
        wrong = confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind='stable')[:20]
        pairs = [np.unravel_index(place, wrong.shape) for place in order]
        return table(CONFUSION, ('true label', 'prediction', 'times'), [
            (escape(labels[t]), escape(labels[a]), str(wrong[t, a]))
            for t, a in pairs if wrong[t, a]])
    rows = []
    for k, label in enumerate(labels):
        rows.append([escape(label)] + [
            f'<span class="wrong">{c}</span>' if j != k and c else str(c)
            for j, c in enumerate(confusion[k])])
    return table(CONFUSION, ('true label, prediction:', *map(escape, labels)), rows)


def mistake_figure(mistake: Mistake) -> str:
    """Show a mistake as a small picture with its label and the prediction."""
    pixels = mistake.pixels()
    scale = 200 / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', cv2.cvtColor(small, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, 80])
    picture = b64encode(data.tobytes()).decode()
    said = (f'taken for {escape(mistake.answer)}' if mistake.answer != mistake.label else
            'right')
    return (f'<figure><img alt="{escape(mistake.label)}" src="data:image/jpeg;base64,{picture}">'
            f'<figcaption>{escape(mistake.label)}, {said}: '
            f'{mistake.nll:.2f} nats<br>{escape(Path(mistake.name).name)}</figcaption></figure>')
