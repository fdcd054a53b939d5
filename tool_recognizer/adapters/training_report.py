"""
The report of a training: one page that needs nothing else, neither a network nor a script.

Charts are drawn as SVG, by hand; the worst mistakes are shown as pictures within the page.
"""

from base64 import b64encode
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.calibration import reliability
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.preprocessing import Pixels

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --soft: #66707d; --line: #d5dae1;
  --mark: #1f6feb; --bad: #c4321f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181e; --soft: #98a2b0;
  --line: #39424e; --mark: #6ea8fe; --bad: #ff8a75; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, td, th { max-width: 46rem; } .soft { color: var(--soft); }
.figures { display: flex; flex-wrap: wrap; gap: 2rem; margin: 1rem 0; }
.figures b { display: block; font-size: 1.7rem; font-variant-numeric: tabular-nums; }
.charts { display: flex; flex-wrap: wrap; gap: 2rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .9rem; max-width: 24rem;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } td.wrong { color: var(--bad); }
.worst { display: flex; flex-wrap: wrap; gap: 1rem; } .worst figure { width: 9.5rem; }
.worst img { max-width: 9.5rem; max-height: 9.5rem; border-radius: 4px; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .axis { stroke: var(--line); }
svg .curve { stroke: var(--mark); fill: none; stroke-width: 2; } svg .bar { fill: var(--mark); }
svg .ideal { stroke: var(--soft); stroke-dasharray: 4 4; } svg .soft { fill: var(--soft); }
"""
WIDTH, HEIGHT, PAD = 390, 260, 56
WORST = 12


@dataclass(frozen=True)
class Mistake:
    """
    A held-out photo with a great NLL.

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


def report_page(metadata: dict[str, Any], mistakes: Sequence[Mistake],
                learning: Sequence[tuple[int, float]]) -> str:
    """
    Write the page.

    Parameters
    ----------
    metadata : the model's, with its reference and its training
    mistakes : the worst held-out answers, the worst first
    learning : number of photos fitted on, and the held-out NLL that they gave, nats

    Returns
    -------
    HTML

    """
    reference, training = metadata['reference'], metadata['training']
    labels = metadata['labels']
    log_p = log_softmax(np.asarray(reference['logits'], np.float64))
    truth = np.asarray(reference['label'])
    mean = float(nll(log_p, truth).mean())
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f'<title>{escape(metadata["name"])}: training report</title><style>{STYLE}</style>',
        f'<h1>{escape(metadata["name"])}</h1>',
        f'<p class="soft">Trained {escape(metadata["created"])} on '
        f'{sum(training["counts"].values())} photographs in {training["groups"]} groups. '
        'All figures come from photographs whose group the fit had not seen.</p>',
        '<div class="figures">',
        _figure('accuracy', f'{reference["accuracy"]:.3f}'),
        _figure('NLL, nats', f'{mean:.3f}'),
        _figure('calibration error', f'{reference["ece"]:.3f}'),
        _figure('held-out answers', str(len(truth))),
        '</div><div class="charts">',
        _chart('What more photographs bring', 'photographs fitted on', 'held-out NLL, nats',
               learning, 'If the curve still falls at its right end, more photographs help.'),
        _chart('How strong the prior should be', 'prior strength (log scale)',
               'held-out NLL, nats',
               sorted((float(s), v) for s, v in training['held_out_nll_by_strength'].items()),
               f'Chosen: {training["prior_strength"]:g}. A weak prior believes the photographs, '
               'a strong one what the base model knew.', logarithmic=True),
        _reliability(log_p, truth),
        '</div><h2>Which label was taken for which</h2>', _confusion(labels, log_p, truth)]
    if metadata.get('rejection'):
        r = metadata['rejection']
        refused = r.get('unknown_refused')
        parts += ['<h2>Things that are none of the tools</h2><p>A picture is refused as unknown '
                  f'when its score is above {r["threshold"]:.3f}. That refuses '
                  f'{r["false_rejection_rate"]:.0%} of the known tools'
                  + (f' and {refused:.0%} of the held-out pictures of other things.'
                     if refused is not None else '.') + '</p>']
    parts += ['<h2>The worst mistakes</h2><div class="worst">', *map(_mistake, mistakes), '</div>',
              '<h2>What it was made of</h2>', _provenance(metadata), '</html>']
    return '\n'.join(parts)


def write_report(path: Path, metadata: dict[str, Any], mistakes: Sequence[Mistake],
                 learning: Sequence[tuple[int, float]]) -> None:
    """Write the page to a file; raises OSError."""
    path.write_text(report_page(metadata, mistakes, learning), encoding='utf-8')


def _figure(name: str, value: str) -> str:
    return f'<div><b>{value}</b>{name}</div>'


def _chart(title: str, across: str, up: str, points: Sequence[tuple[float, float]], note: str, *,
           logarithmic: bool = False) -> str:
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
        f'</circle><text class="soft" x="{a:.1f}" y="{HEIGHT - PAD + 16}" text-anchor="middle">'
        f'{v:g}</text>' for a, b, v, n in zip(sx, sy, x, y, strict=True))
    body = f'<polyline class="curve" points="{line}"/>{dots}'
    return _svg(title, across, up, body, _scale(top), note)


def _reliability(log_p: NDArray[np.float64], truth: NDArray[np.int64]) -> str:
    inner_w, inner_h = WIDTH - PAD - 16, HEIGHT - PAD - 16
    body = (f'<line class="ideal" x1="{PAD}" y1="{HEIGHT - PAD}" x2="{WIDTH - 16}" y2="16"/>')
    for part in reliability(log_p, truth, 10):
        if not part.count:
            continue
        x = PAD + part.confidence * inner_w
        y = HEIGHT - PAD - part.accuracy * inner_h
        radius = 2.5 + 7 * np.sqrt(part.count / len(truth))
        body += (f'<circle class="bar" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>'
                 f'{part.count} answers, confidence {part.confidence:.2f}, right '
                 f'{part.accuracy:.2f}</title></circle>')
    for share in (0.0, 0.5, 1.0):
        body += (f'<text class="soft" x="{PAD + share * inner_w:.0f}" y="{HEIGHT - PAD + 16}" '
                 f'text-anchor="middle">{share:g}</text>')
    return _svg('Do the probabilities mean what they say', 'probability that the model gives',
                'share that is right', body, _scale(1.0),
                'On the dashed line they do; below it the model is too sure. A larger dot stands '
                'for more answers.')


def _scale(top: float) -> str:
    return ''.join(
        f'<text class="soft" x="{PAD - 6}" y="{HEIGHT - PAD - s * (HEIGHT - PAD - 16) + 4:.0f}" '
        f'text-anchor="end">{s * top:.2g}</text>' for s in (0.0, 0.5, 1.0))


def _svg(title: str, across: str, up: str, body: str, scale: str, note: str) -> str:
    return (f'<figure><h2>{title}</h2><svg width="{WIDTH}" height="{HEIGHT}" role="img" '
            f'aria-label="{title}"><line class="axis" x1="{PAD}" y1="{HEIGHT - PAD}" '
            f'x2="{WIDTH - 8}" y2="{HEIGHT - PAD}"/><line class="axis" x1="{PAD}" y1="8" '
            f'x2="{PAD}" y2="{HEIGHT - PAD}"/>{scale}{body}<text x="{(WIDTH + PAD) / 2:.0f}" '
            f'y="{HEIGHT - 6}" text-anchor="middle">{across}</text><text x="12" '
            f'y="{(HEIGHT - PAD) / 2:.0f}" text-anchor="middle" transform="rotate(-90 12 '
            f'{(HEIGHT - PAD) / 2:.0f})">{up}</text></svg><figcaption>{note}</figcaption>'
            '</figure>')


def _confusion(labels: Sequence[str], log_p: NDArray[np.float64],
               truth: NDArray[np.int64]) -> str:
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (truth, log_p.argmax(axis=1)), 1)
    head = ''.join(f'<th>{escape(label)}</th>' for label in labels)
    rows = ''
    for k, label in enumerate(labels):
        cells = ''.join(f'<td{" class=wrong" if j != k and c else ""}>{c}</td>'
                        for j, c in enumerate(counts[k]))
        rows += f'<tr><td>{escape(label)}</td>{cells}</tr>'
    return f'<table><tr><th>true label, answer:</th>{head}</tr>{rows}</table>'


def _mistake(mistake: Mistake) -> str:
    pixels = mistake.pixels()
    scale = 200 / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', cv2.cvtColor(small, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, 80])
    picture = b64encode(data.tobytes()).decode()
    return (f'<figure><img alt="{escape(mistake.label)}" src="data:image/jpeg;base64,{picture}">'
            f'<figcaption>{escape(mistake.label)}, taken for {escape(mistake.answer)}: '
            f'{mistake.nll:.2f} nats<br>{escape(Path(mistake.name).name)}</figcaption></figure>')


def _provenance(metadata: dict[str, Any]) -> str:
    training = metadata['training']
    rows = [(f'photographs of {label}', count) for label, count in training['counts'].items()]
    rows += [(f'drawn pictures of {label}', count)
             for label, count in training['drawn'].items() if count]
    rows += [('augmented views per photograph', training['views']),
             ('prior strength', f'{training["prior_strength"]:g}'),
             ('temperature', f'{training["fitted_temperature"]:.3f}'),
             ('seed', training['seed']), ('digest of the data', training['data_digest'][:16]),
             ('version of the program', training['tool_version']),
             ('licence', metadata['licence'] or 'not stated'),
             ('attribution', metadata['attribution'] or 'not stated')]
    return '<table>' + ''.join(f'<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>'
                               for k, v in rows) + '</table>'
