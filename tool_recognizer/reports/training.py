"""The report of a training: one page that needs nothing else, neither a network nor a script."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.reports.parts import chart
from tool_recognizer.reports.parts import confusion_table
from tool_recognizer.reports.parts import figure
from tool_recognizer.reports.parts import head
from tool_recognizer.reports.parts import Mistake
from tool_recognizer.reports.parts import mistake_figure
from tool_recognizer.reports.parts import reliability_chart
from tool_recognizer.reports.parts import table

# The curves are on another scale than the figures at the top; the notes say so.
UNCALIBRATED = 'NLL before calibration, nats'
HARDER = (', before the temperature is fitted, with strong views (turned, blurred, on other '
          'grounds) among the predictions, and each label counting the same. The NLL at the top '
          'is after it, without strong views.')


def report_page(metadata: dict[str, Any], mistakes: Sequence[Mistake],
                learning: Sequence[tuple[int, float]]) -> str:
    """
    Write the page.

    Parameters
    ----------
    metadata : the model's, with its reference and its training
    mistakes : the worst held-out predictions, the worst first
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
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, log_p.argmax(axis=1)), 1)
    parts = [
        head(f'{metadata["name"]}: training', f'Trained {escape(metadata["created"])} on '
             f'{sum(training["counts"].values())} photographs in {training["groups"]} groups. '
             'All figures come from photographs whose group the fit had not seen.'),
        '<div class="figures">',
        figure('accuracy', f'{reference["accuracy"]:.3f}'),
        figure('NLL, nats', f'{mean:.3f}'),
        figure('calibration error', f'{reference["ece"]:.3f}'),
        figure(f'held-out predictions, for {reference["photographs"]} photographs',
               str(len(truth))),
        '</div>', _advice(training.get('held_out')), '<div class="charts">',
        chart('What more photographs bring', 'photographs fitted on', UNCALIBRATED,
              learning, 'If the curve still falls at its right end, more photographs help. It is '
              f'the NLL on one held-out fold{HARDER}'),
        chart('How strong the prior should be', 'prior strength (log scale)', UNCALIBRATED,
              sorted((float(s), v) for s, v in training['held_out_nll_by_strength'].items()),
              f'Chosen: {training["prior_strength"]:g}. A weak prior believes the photographs, '
              'a strong one what the base model knew. It is the mean NLL of the folds of the '
              f'cross-validation{HARDER}', logarithmic=True),
        reliability_chart(log_p, truth),
        '</div><h2>Which label was taken for which</h2>', confusion_table(labels, confusion)]
    if metadata.get('rejection'):
        r = metadata['rejection']
        refused = r.get('unknown_refused')
        parts += ['<h2>Things that are none of the tools</h2><p>A picture is refused as unknown '
                  f'when its score is above {r["threshold"]:.3f}. That refuses '
                  f'{r["false_rejection_rate"]:.0%} of the known tools'
                  + (f' and {refused:.0%} of the held-out pictures of other things.'
                     if refused is not None else '.') + '</p>']
    parts += ['<h2>The worst predictions</h2><div class="worst">', *map(mistake_figure, mistakes),
              '</div><h2>What it was made of</h2>', _provenance(metadata), '</html>']
    return '\n'.join(parts)


def _advice(held: dict[str, Any] | None) -> str:
    """Write what is known of each label, and what is missing."""
    if not held:
        return ''
    rows = [(escape(label), str(one['photographs']), str(one['bursts']),
             '-' if one['recall'] is None else
             f'{one["recall"]:.2f} ({one["low"]:.2f} to {one["high"]:.2f})')
            for label, one in held['per_label'].items()]
    lines = ''.join(f'<li>{escape(line)}</li>' for line in held['advice'])
    return (f'<h2>What to take more photographs of</h2><ul>{lines}</ul>'
            + table(('label', 'held-out photographs', 'of bursts', 'given their label'), rows))


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
    return table((), [(escape(str(k)), escape(str(v))) for k, v in rows])
