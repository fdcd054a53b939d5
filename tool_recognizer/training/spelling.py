"""
One spelling for each label, whatever people and their systems made of it.

Names that differ only in case, spaces or the composition of accents are one label, and a line says
so. Left out: any other similarity, which only leads to a question.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from difflib import get_close_matches
import unicodedata

from tool_recognizer.pictures.folders import photographs

# Similarity to a label from which we ask whether it is meant.
LIKE = 0.8


def tidy(name: str) -> str:
    """
    Return a name as it looks: accents composed, and single spaces within.

    >>> tidy(' torque  wrench')
    'torque wrench'

    """
    return ' '.join(unicodedata.normalize('NFC', name).split())


def alike(name: str) -> str:
    """
    Return a key that is the same for names that people take for one.

    >>> alike('Hammer ') == alike('hammer')
    True

    """
    return tidy(name).casefold()


def spelled(counts: Mapping[str, int], labels: Sequence[str], reserved: str) -> dict[str, str]:
    """
    Choose the spelling of each name.

    Parameters
    ----------
    counts : name to how often it comes
    labels : those of a model, whose spelling counts; without, the most frequent one does
    reserved : a name that has one spelling

    Returns
    -------
    Name to spelling. A name that could be several of the labels, or is none, stays as it is

    >>> spelled({'Hammer': 3, 'saw': 2}, ['hammer', 'wrench'], 'other')
    {'Hammer': 'hammer', 'saw': 'saw'}
    >>> spelled({'Hammer': 3, 'hammer ': 2, 'Other': 1}, [], 'other')
    {'Hammer': 'Hammer', 'hammer ': 'Hammer', 'Other': 'other'}

    """
    known: dict[str, set[str]] = {alike(reserved): {reserved}}
    for label in labels:
        known.setdefault(alike(label), set()).add(label)
    if not labels:
        for name in sorted(counts, key=lambda name: (-counts[name], name)):
            known.setdefault(alike(name), {tidy(name)})
    chosen = {}
    for name in counts:
        candidates = known.get(alike(name), {name})
        chosen[name] = name if name in candidates or len(candidates) > 1 else min(candidates)
    return chosen


def changes(counts: Mapping[str, int], chosen: Mapping[str, str]) -> list[str]:
    """Say in a line each which names are read as another spelling, unless they look the same."""
    return [f'{name!r} is taken as {right!r} ({photographs(counts[name])})'
            for name, right in sorted(chosen.items())
            if unicodedata.normalize('NFC', name) != unicodedata.normalize('NFC', right)]


def strangers(counts: Mapping[str, int], labels: Sequence[str]) -> list[str]:
    """
    Say which names are none of a model's labels, and ask where one is meant.

    Parameters
    ----------
    counts : name to the number of its photographs; none is a label
    labels : those of the model

    >>> strangers({'saw': 2, 'tape': 1}, ['hammer', 'wrench'])
    ['no label of the model, so that their 3 photographs count as other things: saw, tape']

    """
    by_key = {alike(label): label for label in labels}
    lines, others = [], []
    for name, number in sorted(counts.items()):
        near = get_close_matches(alike(name), by_key, 1, LIKE)
        if near:
            lines.append(f'{name!r} is no label of the model (is {by_key[near[0]]!r} meant?): its '
                         f'{photographs(number)} count as other things')
        else:
            others.append(name)
    if others:
        few = ', '.join(others[:5] + ['...'] * (len(others) > 5))
        lines.append(f'no label of the model, so that their '
                     f'{photographs(sum(counts[n] for n in others))} count as other things: '
                     f'{few}')
    return lines
