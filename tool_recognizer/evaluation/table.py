"""The figures of an evaluation as lines that people read in a terminal."""

from typing import Any

import numpy as np


def table(figures: dict[str, Any]) -> str:
    """
    Lay the figures out for people.

    Parameters
    ----------
    figures : of ``measure``

    """
    counts, data = figures['counts'], figures['data']
    labels = list(figures['per_label'])
    known = sum(counts[name] for name in labels)
    wide = max(11, *(len(name) for name in labels))
    others = f', {counts["other"]} of other things' if counts['other'] else ''
    lines = [f'{known} photographs of {len(labels)} labels{others}; data {data["digest"][:12]}',
             f'model {_name(figures)}', '',
             f'accuracy {_with_interval(figures, "accuracy", 4)}',
             f'NLL {_with_interval(figures, "nll", 4)} nats   '
             f'KL {_with_interval(figures, "kl", 4)} nats',
             f'ECE {figures["ece"]:.4f}   Brier {_with_interval(figures, "brier", 4)}']
    if not np.isnan(figures['auroc']):
        lines.append(
            f'known or other: AUROC {_with_interval(figures, "auroc", 4)}, other accepted where '
            f'95 % of the known are: {_with_interval(figures, "fpr_at_95_tpr", 3)}')
    if 'rejection' in figures:
        r = figures['rejection']
        lines.append(f'at the threshold {r["threshold"]:.3f}:')
        lines += [f'  {_with_interval(r, name, 3)} of {words}' for name, words in (
            ('coverage', 'the known answered'), ('risk', 'these wrong'),
            ('others_refused', 'the others refused')) if not np.isnan(r[name])]
    lines += ['in brackets: 95 % intervals', '',
              f'{"":<{wide}}  photos  {"recall":<18}  {"precision":<18}  NLL']
    # Of a thousand labels only those that were there.
    for name in labels if len(labels) <= 12 else [n for n in labels if counts[n]]:
        row = figures['per_label'][name]
        lines.append(f'{name:<{wide}}  {counts[name]:6d}  {_with_interval(row, "recall", 2):<18}  '
                     f'{_with_interval(row, "precision", 2):<18}  '
                     f'{_with_interval(row, "nll", 2)}'.rstrip())
    if len(labels) <= 12:
        lines += ['', f'{"answer:":>{wide}}  ' + '  '.join(f'{n:>{wide}}' for n in labels)]
        lines += [f'{name:<{wide}}  ' + '  '.join(f'{c:>{wide}d}' for c in row)
                  for name, row in zip(labels, figures['confusion'], strict=True)]
    lines += ['', 'worst:'] + [
        f'  {w["nll"]:7.3f} nats  {w["label"]}'
        + (', right' if w['answer'] == w['label'] else f' taken for {w["answer"]}')
        + f'  {w["photo"]}' for w in figures['worst'][:5]]
    if 'passages' in figures:
        p = figures['passages']
        lines += ['', 'objects: none has two photographs or more' if not p['passages'] else
                  f'{p["passages"]} objects in {p["photographs"]} photographs:',
                  *([] if not p['passages'] else [
                      f'  accuracy {_with_interval(p, "accuracy", 4)}   '
                      f'NLL {_with_interval(p, "nll", 4)} nats   ECE {p["ece"]:.4f}',
                      '  of these photographs, each alone: accuracy '
                      f'{_with_interval(p, "photograph_accuracy", 4)}   '
                      f'NLL {_with_interval(p, "photograph_nll", 4)} nats',
                      f'  decided at {p["min_probability"]:g} {_with_interval(p, "decided", 3)}, '
                      'wrong of these '
                      f'{_with_interval(p, "wrong", 3)}',
                      f'  correlation {p["correlation"]:g}, the likeliest '
                      f'{_with_interval(p, "fitted_correlation", 2)} with '
                      f'NLL {_with_interval(p, "fitted_nll", 4)} nats'])]
    if 'robustness' in figures:
        columns = ('accuracy', 'nll', 'refused', 'wrong', 'others_answered')
        lines += ['', f'{"changed":<28}  photos  ' + '  '.join(f'{name:<17}' for name in (
            'accuracy', 'NLL', 'refused', 'wrong', 'others answered')).rstrip()]
        lines += [f'{r["change"]:<28}  {r["photographs"]:6d}  ' + '  '.join(
            f'{_with_interval(r, name, 2):<17}' for name in columns).rstrip()
                  for r in figures['robustness']]
    if 'against' in figures:
        a = figures['against']
        lines += ['', f'against {_name(a)}:', f'accuracy {_with_interval(a, "accuracy", 4)}   '
                  f'NLL {_with_interval(a, "nll", 4)} nats',
                  f'NLL: identical on all {a["frames"]} frames' if a['identical'] else
                  f'difference {a["nll_difference"]:+.4f} nats per photograph, 95 % interval '
                  f'{a["nll_difference_low"]:+.4f} to {a["nll_difference_high"]:+.4f}; '
                  f'better on {a["better"]:.1%}']
    return '\n'.join(lines)


def _name(model: dict[str, Any]) -> str:
    """Tell which model it is: its file, name, version and digest."""
    said = ' '.join(filter(None, (model['model_name'], model['model_version'])))
    return f'{model["model"]}{said and f", {said}"} ({model["model_digest"][:12]})'


def _with_interval(figures: dict[str, Any], name: str, places: int) -> str:
    value, low, high = (figures[key] for key in (name, f'{name}_ci_low', f'{name}_ci_high'))
    return ('-' if np.isnan(value) else
            f'{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]')
