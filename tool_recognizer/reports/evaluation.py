"""The report of an evaluation: one page that needs nothing else, no network and no script."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tool_recognizer.reports.parts import cell
from tool_recognizer.reports.parts import confusion_table
from tool_recognizer.reports.parts import curves
from tool_recognizer.reports.parts import figure
from tool_recognizer.reports.parts import figures
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import mistake_figure
from tool_recognizer.reports.parts import page
from tool_recognizer.reports.parts import reliability_chart
from tool_recognizer.reports.parts import section
from tool_recognizer.reports.parts import table


def evaluation_page(measured: dict[str, Any], log_probabilities: NDArray[np.float64],
                    label: NDArray[np.int64], mistakes: Sequence[Mistake], date: str) -> str:
    """
    Write the page.

    Parameters
    ----------
    measured : of ``evaluation.figures.measure``, with 'model...', 'data' and 'seen', how many of
        the pictures the model was trained on; with 'against' if two models were compared, and
        'gate' if a verdict was asked for
    log_probabilities, label : (N, K) nats and (N,) of the predictions
    mistakes : the predictions with the greatest NLL, the worst first
    date : when it was measured, for people

    Returns
    -------
    HTML

    """
    labels = list(measured['per_label'])
    counts = measured['counts']
    known = sum(counts[name] for name in labels)
    name = measured['model_name'] or Path(measured['model']).name
    return page(
        f'{name}: evaluation',
        f'{known} frames of {len(labels)} labels'
        + (f' and {counts["other"]} of other things' if counts['other'] else '')
        + f', measured {escape(date)}. Small figures are 95 % intervals.',
        _verdict(measured), _headline(measured), _against(measured.get('against')),
        section('What its probabilities are worth',
                f'<div class="charts">{reliability_chart(log_probabilities, label)}'
                f'{_risk(measured)}</div>'),
        _rejection(measured.get('rejection')),
        section('Label by label', _per_label(measured)),
        section('Which label was taken for which',
                confusion_table(labels, np.asarray(measured['confusion']))),
        _passages(measured.get('passages')),
        _robustness(measured.get('robustness')),
        section('The predictions that cost most', '<div class="pictures">'
                + ''.join(map(mistake_figure, mistakes)) + '</div>' if mistakes else ''),
        section('What was measured', _provenance(measured, date)))


def _headline(measured: dict[str, Any]) -> str:
    shown = [
        figure('accuracy', f'{measured["accuracy"]:.3f}', _interval(measured, 'accuracy')),
        figure('NLL, nats', f'{measured["nll"]:.3f}', _interval(measured, 'nll')),
        figure('KL, nats', f'{measured["kl"]:.3f}', _interval(measured, 'kl')),
        figure('Brier score', f'{measured["brier"]:.3f}', _interval(measured, 'brier')),
        figure('calibration error', f'{measured["ece"]:.3f}', 'too large of few frames')]
    if not np.isnan(measured['auroc']):
        shown.append(figure('AUROC, known or other', f'{measured["auroc"]:.3f}',
                            _interval(measured, 'auroc')))
    seen = (f'<p class="wrong">The model was trained on at least {measured["seen"]} of these '
            'pictures. Only others can show how good it is on new ones.</p>'
            if measured['seen'] else '')
    return figures(*shown) + seen


def _rejection(rejection: dict[str, Any] | None) -> str:
    if not rejection:
        return ''
    return section(
        'At the threshold of the model file', '<p>Frames whose novelty is above '
        f'{rejection["threshold"]:.3f} are refused as unknown: '
        f'{_percent(rejection, "coverage")} of the known tools are answered'
        + ('' if np.isnan(rejection['risk']) else
           f', {_percent(rejection, "risk")} of these predictions are wrong')
        + ('' if np.isnan(rejection['others_refused']) else
           f', and {_percent(rejection, "others_refused")} of the other things are refused')
        + '.</p>')


def _interval(measured: dict[str, Any], name: str) -> str:
    return f'{measured[f"{name}_ci_low"]:.3f} to {measured[f"{name}_ci_high"]:.3f}'


def _percent(measured: dict[str, Any], name: str) -> str:
    low, high = measured[f'{name}_ci_low'], measured[f'{name}_ci_high']
    return f'{measured[name]:.1%} (95 % interval {low:.1%} to {high:.1%})'


def _verdict(measured: dict[str, Any]) -> str:
    gate = measured.get('gate')
    if gate is None:
        return ('<p class="soft">No verdict was asked for: <code>--against OTHER --gate</code> '
                'asks whether the model is better than another.</p>')
    kind = 'good' if gate['passed'] else 'wrong'
    return f'<p class="verdict {kind}">{escape(gate["words"].capitalize())}</p>'


def _per_label(measured: dict[str, Any]) -> str:
    rows = [(escape(name), str(measured['counts'][name]),
             *(cell(row, key) for key in ('recall', 'precision', 'nll')))
            for name, row in measured['per_label'].items() if measured['counts'][name]]
    return table('Label by label', ('label', 'frames', 'recall', 'precision', 'NLL, nats'), rows)


def _passages(passages: dict[str, Any] | None) -> str:
    if passages is None:
        return ''
    title = 'One answer for each object'
    if not passages['passages']:
        return section(title, '<p class="soft">No object has two photographs or more.</p>')
    wrong = ('' if np.isnan(passages['wrong']) else
             f'; {_percent(passages, "wrong")} of these are wrong')
    return section(
        title, '<p class="soft">The objects with two photographs or more, with one answer each '
        'as <code>passage.gate</code> makes it, and their photographs, each alone.</p>',
        table(title, ('answers for', 'number', 'accuracy', 'NLL, nats', 'calibration error'), [
            ('objects', str(passages['passages']), cell(passages, 'accuracy'),
             cell(passages, 'nll'), f'{passages["ece"]:.3f}'),
            ('photographs', str(passages['photographs']), cell(passages, 'photograph_accuracy'),
             cell(passages, 'photograph_nll'), '')]),
        f'<p>{_percent(passages, "decided")} of the objects get a label, with a probability of '
        f'{passages["min_probability"]:g} or more{wrong}. The correlation '
        f'in use is {passages["correlation"]:g}, the likeliest '
        f'{passages["fitted_correlation"]:.2f} ({_interval(passages, "fitted_correlation")}), '
        f'with {passages["fitted_nll"]:.3f} nats ({_interval(passages, "fitted_nll")}).</p>')


def _robustness(rows: list[dict[str, Any]] | None) -> str:
    if rows is None:
        return ''
    shares = 'accuracy', 'nll', 'refused', 'wrong', 'others_answered'
    return section(
        'When one thing changes', '<p class="soft">Refused and wrong: shares of all photographs '
        'of the labels, by the decision that a controller would get.</p>',
        table('When one thing changes',
              ('change', 'frames', 'accuracy', 'NLL, nats', 'refused', 'wrong label',
               'others given a label'),
              [(escape(row['change']), str(row['photographs']),
                *(cell(row, key) for key in shares)) for row in rows]))


def _provenance(measured: dict[str, Any], date: str) -> str:
    data = measured['data']
    rows = [('date', date), *_model(measured, 'model')]
    if 'against' in measured:
        rows += _model(measured['against'], 'other model')
    rows += [('data', ', '.join(data['sources'])),
             ('digest of the data', data['digest'][:16]),
             ('frames answered', str(data['frames'])),
             ('other things answered', str(data['others'])),
             ('left out', str(data['left_out']))]
    return table('What was measured', (), [(escape(name), escape(value)) for name, value in rows])


def _model(measured: dict[str, Any], name: str) -> list[tuple[str, str]]:
    said = ' '.join(filter(None, (measured['model_name'], measured['model_version'])))
    return [(name, f'{said or "without a name"}, {Path(measured["model"]).name}'),
            (f'digest of the {name}', measured['model_digest'][:16])]


def _risk(measured: dict[str, Any]) -> str:
    lines = measured['risk_coverage']
    rejection = measured.get('rejection')
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
    return section(
        'Against the other model', '<p>The other has accuracy '
        f'{against["accuracy"]:.3f} ({_interval(against, "accuracy")}) and NLL '
        f'{against["nll"]:.3f} nats ({_interval(against, "nll")}) on {against["frames"]} '
        f'frames that both answered. {difference}</p>')
