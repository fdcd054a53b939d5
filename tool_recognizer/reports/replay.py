"""
The report of a replay: one page that needs nothing else, neither a network nor a script.

The charts are drawn by matplotlib as SVG within the page; their text takes the page's colour, so
that the page can be light or dark.
"""

from base64 import b64encode
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from datetime import datetime
from datetime import timezone
from html import escape
from io import StringIO
from typing import Any

import cv2
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
import numpy as np
from tool_recognizer.core.calibration import reliability
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.replayed import Story
from tool_recognizer.core.replayed import Surprise
from tool_recognizer.reports.parts import cell
from tool_recognizer.reports.parts import confusion_table
from tool_recognizer.reports.parts import figure
from tool_recognizer.reports.parts import figures
from tool_recognizer.reports.parts import page
from tool_recognizer.reports.parts import section
from tool_recognizer.reports.parts import table

# Distinct for people who see red and green alike (M. Okabe, K. Ito, Color universal
# design, 2008), and on white and on black alike.
COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00')
# Stands for the page's own colour until the SVG is in the page.
INK = '#010203'
STYLE_OF_CHARTS: Any = {
    'svg.fonttype': 'none', 'svg.hashsalt': 'replay', 'font.size': 11, 'text.color': INK,
    'axes.labelcolor': INK, 'axes.edgecolor': '#8a94a1', 'xtick.color': INK, 'ytick.color': INK,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.titlesize': 12,
    'axes.titleweight': 'bold', 'axes.titlelocation': 'left', 'font.family': 'sans-serif',
    'legend.frameon': False, 'legend.fontsize': 10}
PICTURE = 320
# Points that a curve is drawn with, at most.
POINTS = 1500


def report_page(document: Mapping[str, Any], story: Story,
                surprises: Sequence[tuple[Surprise, Frame | None]], date: str) -> str:
    """
    Write the page.

    Parameters
    ----------
    document : the result, as it goes into the JSON
    story : what the charts draw
    surprises : the confirmed frames that cost most, the worst first; None: its picture is lost
    date : when it was replayed, for people

    Returns
    -------
    HTML

    """
    name = ', '.join(bag['name'] for bag in document['bags'])
    with rc_context(STYLE_OF_CHARTS):
        charts = []
        if story.points:
            charts += [_figure(_nll_chart, story, 'NLL over time',
                               'Mean NLL of the last confirmed frames, with its 95 % interval. '
                               "The dashed line is the model's NLL on its reference."),
                       _figure(_evidence_chart, story, 'Evidence of drift over time',
                               'At the threshold the alarm is raised. The evidence falls back '
                               'while all is well; it is drawn up to 10¹².'),
                       _figure(_kl_chart, story, 'KL over time',
                               "The part of the NLL that is the model's own fault.")]
        if story.timeline.shape[1]:
            charts.append(_figure(_probability_chart, story, 'Probabilities over time',
                                  'Mean probability of each label, over all frames.'))
        if len(story.truth):
            charts.append(_figure(_reliability_chart, story,
                                  'Do the probabilities mean what they say',
                                  'On the dashed line they do; below it the model is too sure. A '
                                  'larger dot stands for more frames.'))
    scored = len(story.truth) > 0
    return page(
        f'Replay of {name}', _about(document), _verdict(document), _headline(document),
        section('Drift', _drift(document)),
        section('Over time', '<div class="charts">' + ''.join(charts) + '</div>'
                if charts else ''),
        section('Label by label', _per_label(document)) if scored else '',
        section('Which label was taken for which', _confusion(document)) if scored else '',
        section('The most surprising frames', '<div class="pictures">' + ''.join(
            _surprise(*each) for each in surprises) + '</div>' if surprises else ''),
        section('What was read, and what was not', _input(document, date)))


def _about(document: Mapping[str, Any]) -> str:
    about = document['input']
    return (f'{about["answered"]} of {about["frames"]} frames of {escape(about["topic"])} '
            f'answered, {about["duration_s"]:.1f} s of recording. Small figures are 95 % '
            'intervals.')


def _verdict(document: Mapping[str, Any]) -> str:
    verdict = document['verdict']
    if not verdict['checks']:
        return ''
    kind, title = ('good', 'Passed') if verdict['passed'] else ('wrong', 'Not passed')
    rows = [(escape(check['name']),
             f'<span class="{"good" if check["passed"] else "wrong"}">'
             f'{"passed" if check["passed"] else "failed"}</span>: {escape(check["words"])}')
            for check in verdict['checks']]
    return (f'<section class="card"><p class="verdict {kind}">{title}</p>'
            + table('What was demanded', (), rows) + '</section>')


def _headline(document: Mapping[str, Any]) -> str:
    measured, counts = document['figures'], document['confirmations']
    if not measured['n']:
        return ('<p class="wrong">No confirmed frame: nobody knows how good the predictions are. '
                f'{counts["unmatched"]} confirmations match no frame.</p>')
    unknown = sum(document['unknown_rates'].values())
    entries = [
        ('accuracy', f'{measured["accuracy"]:.1%}',
         f'{measured["accuracy_ci_low"]:.1%} to {measured["accuracy_ci_high"]:.1%}'),
        ('NLL, nats', f'{measured["nll"]:.3f}',
         f'{measured["nll_ci_low"]:.3f} to {measured["nll_ci_high"]:.3f}'),
        ('KL, nats', f'{measured["kl"]:.3f}',
         f'{measured["kl_ci_low"]:.3f} to {measured["kl_ci_high"]:.3f}'),
        ('KL of the label mix, nats', f'{measured["marginal_kl"]:.3f}', ''),
        ('calibration error', f'{measured["ece"]:.3f}', 'too large of few frames'),
        ('Brier score', f'{measured["brier"]:.3f}',
         f'{measured["brier_ci_low"]:.3f} to {measured["brier_ci_high"]:.3f}'),
        ('frames without a label', f'{unknown:.1%}', 'decided unknown'),
        ('confirmed frames', str(measured['n']), '')]
    return figures(*(figure(name, value, note) for name, value, note in entries))


def _drift(document: Mapping[str, Any]) -> str:
    drift = document['drift']
    if not drift['alarms']:
        tone = '' if drift['learning'] else ' class="good"'
        return f'<p{tone}>{escape(drift["quiet"].capitalize())}.</p>'
    return ''.join(
        f'<p class="wrong"><b>Drift</b> at {alarm["elapsed"]:.1f} s, after {alarm["scored"]} '
        f'confirmed frames (evidence {alarm["evidence"]:.4g} of {alarm["threshold"]:g}). It began '
        f'at about {alarm["change_elapsed"]:.1f} s, with confirmed frame '
        f'{alarm["change_at"]} ({alarm["change_set"][0]} to {alarm["change_set"][1]}); it shows '
        f'most as {escape(alarm["leading"])}'
        + (f', in {escape(alarm["worst_label"])}' if alarm['worst_label'] else '') + '.</p>'
        for alarm in drift['alarms'])


def _per_label(document: Mapping[str, Any]) -> str:
    return table('Label by label', ('label', 'confirmed', 'recall', 'precision', 'NLL, nats'), [
        (escape(label), str(part['count']), *(cell(part, name) for name in (
            'recall', 'precision', 'nll'))) for label, part in document['per_label'].items()])


def _confusion(document: Mapping[str, Any]) -> str:
    return confusion_table(document['model']['labels'], np.asarray(document['confusion']))


def _surprise(surprise: Surprise, frame: Frame | None) -> str:
    picture = '<p class="soft">its picture cannot be found again</p>'
    if frame is not None:
        height, width = frame.pixels.shape[:2]
        scale = PICTURE / max(height, width)
        small = fit_image(frame.pixels, InputSpec(
            max(1, round(height * scale)), max(1, round(width * scale)), 'stretch'), frame.order)
        _, data = cv2.imencode('.jpg', small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
        picture = (f'<img alt="{escape(surprise.label)}" '
                   f'src="data:image/jpeg;base64,{b64encode(data.tobytes()).decode()}">')
    said = ('predicted rightly' if surprise.answer == surprise.label
            else f'predicted {escape(surprise.answer)}')
    return (f'<figure>{picture}<figcaption>confirmed {escape(surprise.label)}, {said}; '
            f'{surprise.nll:.3g} nats<br><small>stamp {surprise.key.stamp}</small></figcaption>'
            '</figure>')


def _input(document: Mapping[str, Any], date: str) -> str:
    about, model = document['input'], document['model']
    rows: list[tuple[str, object]] = [
        ('date of the replay', date),
        ('model', ' '.join(filter(None, (model['name'], str(model['version']))))
         or 'without a name'),
        ('digest of the model', model['digest'][:16]),
        ('version of the program', document['tool_version'])]
    if 'baseline' in document:
        stored = document['baseline']
        rows += [('compared with', stored['name']),
                 ('digest of its model', stored['model_digest'][:16])]
    for bag in document['bags']:
        rows.append((f'bag {bag["name"]}', f'{bag["frames"]} frames, from {_time(bag["start"])}'))
        rows += [('lost', loss) for loss in bag['losses']]
    rows += [(f'frames dropped: {reason}', f'{count}, as: {about["examples"].get(reason, "")}')
             for reason, count in about['dropped'].items()]
    rows += [(f'unreadable messages of {topic}', f'{count}, as: {about["examples"].get(topic)}')
             for topic, count in about['unreadable_messages'].items()]
    rows += [('note', note) for note in about['notes']]
    if len(about['frames_per_frame_id']) > 1:
        rows.append(('several cameras in one topic', ', '.join(
            f'{name or "without a frame_id"}: {count}'
            for name, count in about['frames_per_frame_id'].items())))
    if about['stamps_trouble']:
        rows.append(('stamps', about['stamps_trouble']))
    rows += [('stamps of 0', about['stamps_zero']),
             ('stamps that repeat', about['stamps_repeated']),
             ('stamps that run backwards', about['stamps_backwards']),
             ('gaps longer than decision.deadline',
              f'{about["gaps_beyond_deadline"]}; the longest {about["longest_gap_s"]:.2f} s')]
    rows += [(f'confirmations {outcome}', count)
             for outcome, count in document['confirmations'].items() if count]
    rows += [(f'decided {reason}', f'{share:.1%}')
             for reason, share in document['unknown_rates'].items()]
    tools = document.get('passages')
    if tools is not None:
        rows += [(f'tools decided {made}', count) for made, count in tools['decisions'].items()]
        if tools['fit']['passages']:
            fit = tools['fit']
            rows.append(('the likeliest passage.correlation',
                         f'{fit["correlation"]:.2f} ({fit["low"]:.2f} to {fit["high"]:.2f}) of '
                         f'{fit["passages"]} confirmed tools; {tools["correlation"]:g} is in '
                         'use'))
    for name, title in (('stamp_to_recorded', "from a frame's stamp to the recorder"),
                        ('stamp_to_live_answer', "from a frame's stamp to the live prediction")):
        latency = document['latency_ms'][name]
        if not np.isnan(latency['p50']):
            rows.append((title, f'p50 {latency["p50"]:.1f} ms, p95 {latency["p95"]:.1f} ms, p99 '
                                f'{latency["p99"]:.1f} ms'))
    live = document['live_answers']
    early = document['early_warning']
    if early['warning']:
        rows.append(('early warning, from the predictions alone',
                     f'{early["reason"]}, at {early["elapsed"]:.1f} s'))
    if live['compared']:
        rows.append(('live predictions in the recording',
                     f'{live["compared"]}, greatest difference of a probability '
                     f'{live["greatest_difference"]:.2g}'))
    rows += [(f'parameter {name}', value) for name, value in document['parameters'].items()]
    return table('What was read, and what was not', (), [
        (escape(str(name)), escape(str(value))) for name, value in rows])


def _time(moment: int) -> str:
    """Write a moment in ns for people, in UTC."""
    return f'{datetime.fromtimestamp(moment / 1e9, timezone.utc):%Y-%m-%d %H:%M UTC}'


def _figure(draw: Callable[[Axes, Story], None], story: Story, title: str, note: str) -> str:
    figure = Figure(figsize=(5.6, 3.0), layout='constrained')
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    draw(axes, story)
    axes.set_title(title)
    figure.patch.set_alpha(0.0)
    axes.patch.set_alpha(0.0)
    text = StringIO()
    figure.savefig(text, format='svg', metadata={'Date': None, 'Creator': None})
    svg = text.getvalue()
    svg = svg[svg.index('<svg'):].replace(INK, 'currentColor')
    return (f'<figure role="img" aria-label="{escape(title)}">{svg}<figcaption>{escape(note)}'
            '</figcaption></figure>')


def _columns(story: Story) -> tuple[Any, ...]:
    """Return the points as columns; very many are thinned out, and the last one stays."""
    every = max(1, len(story.points) // POINTS)
    chosen = sorted({*range(0, len(story.points), every), len(story.points) - 1})
    return tuple(np.array([story.points[i] for i in chosen]).T)


def _alarms(axes: Axes, story: Story) -> None:
    for alarm in story.alarms:
        axes.axvline(alarm.elapsed, color='#d55e00', linewidth=1.5, label='alarm')
        if not np.isnan(alarm.change_elapsed):
            axes.axvline(alarm.change_elapsed, color='#d55e00', linewidth=1.5, linestyle=':',
                         label='estimated change')
    axes.set_xlim(0.0, max(story.duration, 1e-3))
    axes.set_xlabel('seconds')


def _legend(axes: Axes) -> None:
    axes.legend(loc='upper left', ncols=2, handlelength=1.4)
    low, high = axes.get_ylim()
    if axes.get_yscale() == 'log':
        axes.set_ylim(low, high * (high / low) ** 0.35)
    else:
        axes.set_ylim(low, high + 0.3 * (high - low))


def _nll_chart(axes: Axes, story: Story) -> None:
    elapsed, nll, low, high, _, _ = _columns(story)
    top = np.nanmax(np.where(np.isfinite(nll), nll, np.nan)) if np.isfinite(nll).any() else 1.0
    ceiling = 2.0 * max(float(top), story.reference_nll if np.isfinite(story.reference_nll)
                        else 0.0, 0.05)
    axes.fill_between(elapsed, np.clip(low, 0.0, ceiling), np.clip(high, 0.0, ceiling),
                      color=COLOURS[0], alpha=0.18, linewidth=0.0)
    axes.plot(elapsed, np.where(np.isfinite(nll), nll, ceiling), color=COLOURS[0],
              label='NLL of the window')
    if np.isfinite(story.reference_nll):
        axes.axhline(story.reference_nll, color='#8a94a1', linestyle='--', label='reference')
    axes.set_ylim(0.0, ceiling)
    axes.set_ylabel('nats per frame')
    _alarms(axes, story)
    _legend(axes)


def _kl_chart(axes: Axes, story: Story) -> None:
    elapsed, _, _, _, kl, _ = _columns(story)
    axes.plot(elapsed, np.where(np.isfinite(kl), kl, np.nan), color=COLOURS[2],
              label='KL of the window')
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel('nats per frame')
    _alarms(axes, story)
    _legend(axes)


def _evidence_chart(axes: Axes, story: Story) -> None:
    elapsed, evidence = _columns(story)[0], _columns(story)[5]
    axes.plot(elapsed, np.clip(evidence, 1e-2, 1e12), color=COLOURS[1], label='evidence')
    axes.axhline(story.threshold, color='#8a94a1', linestyle='--', label='threshold')
    axes.set_yscale('log')
    axes.set_ylabel('evidence')
    _alarms(axes, story)
    _legend(axes)


def _probability_chart(axes: Axes, story: Story) -> None:
    counts = story.timeline_counts
    there = counts > 0
    middle = (np.arange(len(counts)) + 0.5) / len(counts) * story.duration
    mean = story.timeline[there] / counts[there, np.newaxis]
    axes.stackplot(middle[there], mean.T, labels=story.labels, alpha=0.85, linewidth=0.0,
                   colors=[COLOURS[k % len(COLOURS)] for k in range(len(story.labels))])
    axes.set_ylim(0.0, 1.0)
    axes.set_xlim(0.0, max(story.duration, 1e-3))
    axes.set_xlabel('seconds')
    axes.set_ylabel('probability')
    axes.legend(loc='upper left', bbox_to_anchor=(0.0, -0.2), ncols=4, handlelength=1.0)


def _reliability_chart(axes: Axes, story: Story) -> None:
    parts = [part for part in reliability(story.log_probabilities, story.truth, 10) if part.count]
    axes.plot([0.0, 1.0], [0.0, 1.0], color='#8a94a1', linestyle='--')
    axes.scatter([part.confidence for part in parts], [part.accuracy for part in parts],
                 s=[30.0 + 400.0 * part.count / len(story.truth) for part in parts],
                 color=COLOURS[0], alpha=0.8, linewidths=0.0)
    axes.set_xlim(0.0, 1.03)
    axes.set_ylim(0.0, 1.05)
    axes.set_xlabel('probability that the model gives')
    axes.set_ylabel('share that is right')
