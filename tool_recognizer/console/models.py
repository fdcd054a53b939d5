"""
The models that a line has had: those that its journal knows, and those of its store.

What a model was worth is what its confirmations say, as they stand now. What it is called, and
what its training held out, is in the store alone.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from tool_recognizer.console.board import for_json
from tool_recognizer.core.confirmation import SCORED
from tool_recognizer.core.interval import effective_sample_size
from tool_recognizer.core.interval import wilson_interval
from tool_recognizer.core.means import cost_of_surprise
from tool_recognizer.core.means import mean_cost
from tool_recognizer.core.means import weighted_mean
from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.event_log.reader import StoredConfirmation
from tool_recognizer.model.store import ModelStore
from tool_recognizer.model.store import StoreError

# Confirmations that figures are taken of, the newest; times in charge that are told of one model.
NEWEST, TIMES = 5000, 5


def known_models(journal: Path | None, store: ModelStore | None) -> dict[str, Any]:
    """
    List the models, the one that was in charge last first.

    Parameters
    ----------
    journal, store : of the line, as far as they are known

    Returns
    -------
    models: of each its digest, name, version and damage in the store, when it came and by whom,
    whether it is to be in charge, labels, times in charge (s, until None: it still is, or nobody
    knows) and figures; journal and store: 'ok', 'none', or why they cannot be read

    """
    models: dict[str, dict[str, Any]] = {}
    told = {'journal': 'none', 'store': 'none'}
    if journal is not None:
        try:
            models |= _of_journal(journal)
            told['journal'] = 'ok'
        except JournalError as error:
            told['journal'] = str(error)
    if store is not None:
        try:
            for digest, one in _of_store(store):
                models[digest] = models.get(digest, _known(())) | one
            told['store'] = 'ok'
        except StoreError as error:
            told['store'] = str(error)
    rows = [{'digest': digest, **model} for digest, model in models.items()]
    rows.sort(key=lambda row: (row['times'][0][0] if row['times'] else 0.0, row['version']),
              reverse=True)
    return {'models': rows, **told}


def _known(labels: Iterable[str]) -> dict[str, Any]:
    return {'name': '', 'version': '', 'damage': '', 'added': '', 'by': '', 'chosen': False,
            'labels': [*labels], 'times': [], 'figures': None, 'held_out': None}


def _of_journal(path: Path) -> dict[str, dict[str, Any]]:
    models: dict[str, dict[str, Any]] = {}
    scored = defaultdict[str, list[StoredConfirmation]](list)
    with JournalReader(path) as reader:
        runs = [*reader.runs().values()]
        for one in reader.confirmations(NEWEST):
            if one.outcome in SCORED and one.nll is not None:
                scored[one.model_digest].append(one)
    for event, after in zip(runs, [*runs[1:], None], strict=True):
        model = models.setdefault(event.model_digest, _known(event.labels))
        until = None if after is None else after.moment / 1e9
        times = model['times']
        if times and times[0][1] == event.moment / 1e9:  # a start after a start
            times[0][1] = until
        else:
            times.insert(0, [event.moment / 1e9, until])
            del times[TIMES:]
    for digest, frames in scored.items():
        if digest in models:
            models[digest]['figures'] = _figures(frames)
    return models


def _figures(frames: list[StoredConfirmation]) -> dict[str, Any]:
    """Take the figures of scored frames, weighted as the monitor weighs them."""
    weights = np.array([1.0 if one.asked is None else 1.0 / one.asked.inclusion_probability
                        for one in frames])
    costs = np.array([nan if one.nll is None else one.nll for one in frames])
    right = np.array([0.0 if one.log_probabilities is None else one.distribution.get(
        one.labels[int(one.log_probabilities.argmax())], 0.0) for one in frames])
    nll, low, high = mean_cost(costs, weights, cost_of_surprise(len(frames[0].labels)))
    accuracy = float(weighted_mean(right, weights))
    least, most = wilson_interval(accuracy, effective_sample_size(weights))
    return {'n': len(frames), 'accuracy': accuracy, 'accuracy_ci_low': least,
            'accuracy_ci_high': most, 'nll': for_json(nll), 'nll_ci_low': for_json(low),
            'nll_ci_high': for_json(high)}


def _of_store(store: ModelStore) -> Iterable[tuple[str, dict[str, Any]]]:
    in_charge = store.in_charge()
    for version in store.versions():
        about = version.about
        held = about.get('figures')
        yield version.digest or f'version {version.name}', {
            'name': str(about.get('name') or ''), 'version': version.name,
            'damage': version.damage, 'added': str(about.get('added', '')),
            'by': str(about.get('by', '')), 'chosen': version.name == in_charge,
            'labels': [*map(str, about.get('labels', []))],
            'held_out': held if isinstance(held, dict) else None}
