"""The report of a training: one page that needs nothing else, neither a network nor a script."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.interval import burst_means
from tool_recognizer.core.interval import share_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.reports.parts import chart
from tool_recognizer.reports.parts import confusion_table
from tool_recognizer.reports.parts import figure
from tool_recognizer.reports.parts import figures
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import mistake_figure
from tool_recognizer.reports.parts import page
from tool_recognizer.reports.parts import reliability_chart
from tool_recognizer.reports.parts import section
from tool_recognizer.reports.parts import table

# The curves are on another scale than the figures at the top; the notes say so.
UNCALIBRATED = 'NLL before calibration, nats'
HARDER = (', before the temperature is fitted, with strong views (turned, blurred, on other '
          'grounds) among the predictions, and each label counting the same. The NLL at the top '
          'is after it, without strong views.')


def report_page(metadata: dict[str, Any], digest: str, mistakes: Sequence[Mistake],
                learning: Sequence[tuple[int, float]], bursts: ArrayLike) -> str:
    """
    Write the page.

    Parameters
    ----------
    metadata : the model's, with its reference and its training
    digest : SHA-256 of the model, hex
    mistakes : the worst held-out predictions, the worst first
    learning : number of photos fitted on, and the held-out NLL that they gave, nats
    bursts : (N,) of the reference's predictions, by any name: each is one witness

    Returns
    -------
    HTML

    """
    reference, training = metadata['reference'], metadata['training']
    labels = metadata['labels']
    log_p = log_softmax(np.asarray(reference['logits'], np.float64))
    truth = np.asarray(reference['label'])
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, log_p.argmax(axis=1)), 1)
    measured = _measured(log_p, truth, bursts)
    rejection = metadata.get('rejection')
    return page(
        f'{metadata["name"]}: training',
        f'Trained {escape(metadata["created"])} on {sum(training["counts"].values())} photographs '
        f'in {training["groups"]} groups. All figures come from photographs whose group the fit '
        'had not seen. Small figures are 95 % intervals.',
        figures(
            figure('accuracy', f'{reference["accuracy"]:.3f}', _interval(measured, 'accuracy')),
            figure('NLL, nats', f'{measured["nll"]:.3f}', _interval(measured, 'nll')),
            figure('calibration error', f'{reference["ece"]:.3f}', 'too large of few frames'),
            figure(f'held-out predictions, for {reference["photographs"]} photographs',
                   str(len(truth)))),
        _advice(training.get('held_out')),
        section('How it was fitted', '<div class="charts">', chart(
            'What more photographs bring', 'photographs fitted on', UNCALIBRATED,
            learning, 'If the curve still falls at its right end, more photographs help. It is '
            f'the NLL on one held-out fold{HARDER}'), chart(
            'How strong the prior should be', 'prior strength (log scale)', UNCALIBRATED,
            sorted((float(s), v) for s, v in training['held_out_nll_by_strength'].items()),
            f'Chosen: {training["prior_strength"]:g}. A weak prior believes the photographs, '
            'a strong one what the base model knew. It is the mean NLL of the folds of the '
            f'cross-validation{HARDER}', logarithmic=True),
            reliability_chart(log_p, truth), '</div>'),
        section('Which label was taken for which', confusion_table(labels, confusion)),
        _rejection(rejection) if rejection else '',
        section('The worst predictions', '<div class="pictures">'
                + ''.join(map(mistake_figure, mistakes)) + '</div>' if mistakes else ''),
        section('What it was made of', _provenance(metadata, digest)))


def _measured(log_p: NDArray[np.float64], truth: NDArray[np.int64], bursts: ArrayLike
              ) -> dict[str, float]:
    each = nll(log_p, truth)
    _, low, high = mean_cost(*burst_means(each, bursts), cost_of_surprise(log_p.shape[1]))
    least, most = share_interval(log_p.argmax(axis=1) == truth, bursts)
    return {'nll': float(each.mean()), 'nll_ci_low': low, 'nll_ci_high': high,
            'accuracy_ci_low': least, 'accuracy_ci_high': most}


def _interval(measured: dict[str, float], name: str) -> str:
    return f'{measured[f"{name}_ci_low"]:.3f} to {measured[f"{name}_ci_high"]:.3f}'


def _rejection(rejection: dict[str, Any]) -> str:
    refused = rejection.get('unknown_refused')
    return section(
        'Things that are none of the tools', '<p>A picture is refused as unknown when its score '
        f'is above {rejection["threshold"]:.3f}. That refuses '
        f'{rejection["false_rejection_rate"]:.0%} of the known tools'
        + (f' and {refused:.0%} of the held-out pictures of other things.'
           if refused is not None else '.') + '</p>')


def _advice(held: dict[str, Any] | None) -> str:
    """Write what is known of each label, and what is missing."""
    if not held:
        return ''
    rows = [(escape(label), str(one['photographs']), str(one['bursts']),
             '-' if one['recall'] is None else
             f'{one["recall"]:.2f} ({one["low"]:.2f} to {one["high"]:.2f})',
             '-' if one.get('nll_high') is None else
             f'{one["nll"]:.2f} ({one["nll_low"]:.2f} to {one["nll_high"]:.2f})')
            for label, one in held['per_label'].items()]
    lines = ''.join(f'<li>{escape(line)}</li>' for line in held['advice'])
    return section('What to take more photographs of', f'<ul>{lines}</ul>', table(
        'Of each label', ('label', 'held-out photographs', 'of bursts', 'given their label',
                          'NLL, nats'), rows))


def _provenance(metadata: dict[str, Any], digest: str) -> str:
    training = metadata['training']
    said = ' '.join(filter(None, (metadata['name'], str(metadata.get('version') or ''))))
    rows = [('date', metadata['created']), ('model', said), ('digest of the model', digest[:16])]
    rows += [(f'photographs of {label}', count) for label, count in training['counts'].items()]
    rows += [(f'drawn pictures of {label}', count)
             for label, count in training['drawn'].items() if count]
    rows += [('augmented views per photograph', training['views']),
             ('prior strength', f'{training["prior_strength"]:g}'),
             ('temperature', f'{training["fitted_temperature"]:.3f}'),
             ('seed', training['seed']), ('digest of the data', training['data_digest'][:16]),
             ('version of the program', training['tool_version']),
             ('licence', metadata['licence'] or 'not stated'),
             ('attribution', metadata['attribution'] or 'not stated')]
    return table('What it was made of', (), [(escape(str(k)), escape(str(v))) for k, v in rows])
