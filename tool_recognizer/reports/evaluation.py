"""The report of an evaluation: one page that needs nothing else, no network and no script."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.reports.parts import confusion_table
from tool_recognizer.reports.parts import curves
from tool_recognizer.reports.parts import figure
from tool_recognizer.reports.parts import head
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import mistake_figure
from tool_recognizer.reports.parts import reliability_chart
from tool_recognizer.reports.parts import table


def evaluation_page(figures: dict[str, Any], log_probabilities: NDArray[np.float64],
                    label: NDArray[np.int64], mistakes: Sequence[Mistake], date: str) -> str:
    """
    Write the page.

    Parameters
    ----------
    figures : of ``evaluation.figures.measure``, with 'model...', 'data' and 'seen', how many of
        the pictures the model was trained on; with 'against' if two models were compared, and
        'gate' if a verdict was asked for
    log_probabilities, label : (N, K) nats and (N,) of the predictions
    mistakes : the predictions with the greatest NLL, the worst first
    date : when it was measured, for people

    Returns
    -------
    HTML

    """
    labels = list(figures['per_label'])
    counts = figures['counts']
    known = sum(counts[name] for name in labels)
    rejection = figures.get('rejection')
    parts = [
        head(f'{figures["model_name"] or Path(figures["model"]).name}: evaluation',
             f'{known} frames of {len(labels)} labels'
             + (f' and {counts["other"]} of other things' if counts['other'] else '')
             + f', measured {escape(date)}. Small figures are 95 % intervals.'),
        _verdict(figures),
        '<div class="figures">',
        figure('accuracy', f'{figures["accuracy"]:.3f}', _interval(figures, 'accuracy')),
        figure('NLL, nats', f'{figures["nll"]:.3f}', _interval(figures, 'nll')),
        figure('KL, nats', f'{figures["kl"]:.3f}', _interval(figures, 'kl')),
        figure('Brier score', f'{figures["brier"]:.3f}', _interval(figures, 'brier')),
        figure('calibration error', f'{figures["ece"]:.3f}')]
    if not np.isnan(figures['auroc']):
        parts.append(figure('AUROC, known or other', f'{figures["auroc"]:.3f}'))
    parts.append('</div>')
    if figures['seen']:
        parts.append(f'<p class="wrong">The model was trained on at least {figures["seen"]} of '
                     'these pictures. Only others can show how good it is on new ones.</p>')
    parts += [_against(figures.get('against')), '<div class="charts">',
              reliability_chart(log_probabilities, label), _risk(figures), '</div>']
    if rejection:
        parts.append('<h2>At the threshold of the model file</h2><p>Frames whose novelty is above '
                     f'{rejection["threshold"]:.3f} are refused as unknown: '
                     f'{_percent(rejection, "coverage")} of the known tools are answered'
                     + ('' if np.isnan(rejection['risk']) else
                        f', {_percent(rejection, "risk")} of these predictions are wrong')
                     + ('' if np.isnan(rejection['others_refused']) else
                        f', and {_percent(rejection, "others_refused")} of the other things are '
                        'refused') + '.</p>')
    parts += ['<h2>Label by label</h2>', _per_label(figures),
              '<h2>Which label was taken for which</h2>',
              confusion_table(labels, np.asarray(figures['confusion'])),
              _robustness(figures.get('robustness')),
              '<h2>The predictions that cost most</h2><div class="worst">',
              *map(mistake_figure, mistakes), '</div>',
              '<h2>What was measured</h2>', _provenance(figures, date), '</html>']
    return '\n'.join(parts)


def _interval(figures: dict[str, Any], name: str) -> str:
    return f'{figures[f"{name}_ci_low"]:.3f} to {figures[f"{name}_ci_high"]:.3f}'


def _percent(figures: dict[str, Any], name: str) -> str:
    low, high = figures[f'{name}_ci_low'], figures[f'{name}_ci_high']
    return f'{figures[name]:.1%} (95 % interval {low:.1%} to {high:.1%})'


def _verdict(figures: dict[str, Any]) -> str:
    gate = figures.get('gate')
    if gate is None:
        return ('<p class="soft">No verdict was asked for: <code>--against OTHER --gate</code> '
                'asks whether the model is better than another.</p>')
    kind = 'good' if gate['passed'] else 'wrong'
    return f'<p class="verdict {kind}">{escape(gate["words"].capitalize())}</p>'


def _per_label(figures: dict[str, Any]) -> str:
    def cell(row: dict[str, float], name: str) -> str:
        return '-' if np.isnan(row[name]) else (
            f'{row[name]:.3f}<br><small>{row[f"{name}_ci_low"]:.2f}&ndash;'
            f'{row[f"{name}_ci_high"]:.2f}</small>')
    rows = [(escape(name), str(figures['counts'][name]),
             *(cell(row, key) for key in ('recall', 'precision', 'nll')))
            for name, row in figures['per_label'].items() if figures['counts'][name]]
    return table(('label', 'frames', 'recall', 'precision', 'NLL, nats'), rows)


def _robustness(rows: list[dict[str, Any]] | None) -> str:
    if rows is None:
        return ''
    shares = 'accuracy', 'nll', 'refused', 'wrong', 'others_answered'
    return ('<h2>When one thing changes</h2><p class="soft">Refused and wrong: shares of all '
            'photographs of the labels, by the decision that a controller would get.</p>'
            + table(('change', 'frames', 'accuracy', 'NLL, nats', 'refused', 'wrong label',
                     'others given a label'),
                    [(escape(row['change']), str(row['photographs']),
                      *('-' if np.isnan(row[key]) else f'{row[key]:.3f}' for key in shares))
                     for row in rows]))


def _provenance(figures: dict[str, Any], date: str) -> str:
    data = figures['data']
    rows = [('date', date), *_model(figures, 'model')]
    if 'against' in figures:
        rows += _model(figures['against'], 'other model')
    rows += [('data', ', '.join(data['sources'])),
             ('digest of the data', data['digest'][:16]),
             ('frames answered', str(data['frames'])),
             ('other things answered', str(data['others'])),
             ('left out', str(data['left_out']))]
    return table((), [(escape(name), escape(value)) for name, value in rows])


def _model(figures: dict[str, Any], name: str) -> list[tuple[str, str]]:
    said = ' '.join(filter(None, (figures['model_name'], figures['model_version'])))
    return [(name, f'{said or "without a name"}, {Path(figures["model"]).name}'),
            (f'digest of the {name}', figures['model_digest'][:16])]


def _risk(figures: dict[str, Any]) -> str:
    lines = figures['risk_coverage']
    rejection = figures.get('rejection')
    mark = None
    if rejection and np.isfinite(rejection['risk']):
        mark = rejection['coverage'], rejection['risk'], 'the threshold of the model file'
    return curves('What refusing doubtful frames brings', 'share of the known tools answered',
                  'share of these that is wrong',
                  [('by probability', lines['probability']), ('by novelty', lines['novelty'])],
                  mark, 'Refused first: the least probable, or the least like a known tool. '
                  + ('The dot is the threshold of the model file.' if mark else ''))


def _against(against: dict[str, Any] | None) -> str:
    if against is None:
        return ''
    low, high = against['nll_difference_low'], against['nll_difference_high']
    verdict = ('better' if high < 0.0 else 'worse' if low > 0.0 else
               'neither better nor worse, as far as these frames can tell')
    difference = (f'The NLL is identical on all {against["frames"]} frames.'
                  if against['identical'] else
                  f'Difference {against["nll_difference"]:+.4f} nats per frame, 95 % interval '
                  f'{low:+.4f} to {high:+.4f}: this model is {verdict}.')
    return ('<h2>Against the other model</h2><p>The other has accuracy '
            f'{against["accuracy"]:.3f} ({_interval(against, "accuracy")}) and NLL '
            f'{against["nll"]:.3f} nats ({_interval(against, "nll")}) on {against["frames"]} '
            f'frames that both answered. {difference}</p>')
