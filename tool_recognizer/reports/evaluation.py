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
                    label: NDArray[np.int64], mistakes: Sequence[Mistake]) -> str:
    """
    Write the page.

    Parameters
    ----------
    figures : of ``evaluate.measure``, with 'against' if two models were compared, and 'seen', how
        many of the pictures the model was trained on
    log_probabilities, label : (N, K) nats and (N,) of the answers
    mistakes : the answers with the greatest NLL, the worst first

    Returns
    -------
    HTML

    """
    labels = list(figures['per_label'])
    counts = figures['counts']
    known = sum(counts[name] for name in labels)
    rejection = figures.get('rejection')
    parts = [
        head(f'{Path(figures["model"]).name}: evaluation',
             f'{known} frames of {len(labels)} labels'
             + (f' and {counts["other"]} of other things' if counts['other'] else '')
             + f'; model {figures["model_digest"][:16]}.'),
        '<div class="figures">',
        figure('accuracy', f'{figures["accuracy"]:.3f}'),
        figure('NLL, nats', f'{figures["nll"]:.3f}'),
        figure('KL, nats', f'{figures["kl"]:.3f}'),
        figure('calibration error', f'{figures["ece"]:.3f}'),
        figure('Brier score', f'{figures["brier"]:.3f}')]
    if not np.isnan(figures['auroc']):
        parts.append(figure('AUROC, known or other', f'{figures["auroc"]:.3f}'))
    parts.append('</div>')
    if figures['seen']:
        parts.append(f'<p class="wrong">The model was trained on at least {figures["seen"]} of '
                     'these pictures; how good it is on new ones, only others can tell.</p>')
    parts += [_against(figures.get('against')), '<div class="charts">',
              reliability_chart(log_probabilities, label), _risk(figures), '</div>']
    if rejection:
        refused = rejection['others_refused']
        parts.append('<h2>At the threshold of the model file</h2><p>Frames whose novelty is above '
                     f'{rejection["threshold"]:.3f} are refused as unknown: '
                     f'{rejection["coverage"]:.1%} of the known tools are answered'
                     + ('' if np.isnan(rejection['risk']) else
                        f', {rejection["risk"]:.2%} of these answers are wrong')
                     + ('' if np.isnan(refused) else
                        f', and {refused:.1%} of the other things are refused') + '.</p>')
    parts += ['<h2>Label by label</h2>', _per_label(figures),
              '<h2>Which label was taken for which</h2>',
              confusion_table(labels, np.asarray(figures['confusion'])),
              '<h2>The worst answers</h2><div class="worst">', *map(mistake_figure, mistakes),
              '</div></html>']
    return '\n'.join(parts)


def _per_label(figures: dict[str, Any]) -> str:
    rows = [(escape(name), str(figures['counts'][name]), f'{row["recall"]:.3f}',
             f'{row["precision"]:.3f}', f'{row["nll"]:.3f}')
            for name, row in figures['per_label'].items() if figures['counts'][name]]
    return table(('label', 'frames', 'recall', 'precision', 'NLL, nats'), rows)


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
            f'{against["accuracy"]:.3f} and NLL {against["nll"]:.3f} nats on {against["frames"]} '
            f'frames that both answered. {difference}</p>')
