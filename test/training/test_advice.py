"""What is said of a training: which labels are confused, in a sentence that says what to take."""

import numpy as np
from tool_recognizer.training.advice import advice
from tool_recognizer.training.advice import held_by_label
from tool_recognizer.training.advice import held_in_all
from tool_recognizer.training.advice import to_metadata
from tool_recognizer.training.fit import HeldOut
from tool_recognizer.training.photos import Photo

LABELS = ('hammer', 'torx', 'wrench')


def case(answers, group=lambda number: number, extra=()):
    """Make photographs of (label, answer), each with one strong view that is always wrong."""
    photos = [Photo(label, f'data/{label}/{number}.jpg', f'{number:064x}', None, group(number))
              for number, (label, _) in enumerate(answers)]
    count, logits, truth, view = len(answers), [], [], []
    for strong in (False, True):
        for label, answer in answers:
            column = LABELS.index(answer)
            logits.append(np.eye(4)[(column + 1) % 3 if strong else column])
            truth.append(LABELS.index(label))
            view.append(int(strong) * 6)
    held = HeldOut(np.array(logits), np.array(truth), np.tile(np.arange(count), 2),
                   np.array(view), np.array(view) == 0, [1.0], 1.0, {})
    return held, [*photos, *extra], LABELS


def test_labels_that_are_confused_are_named_with_how_often_and_an_example():
    answers = ([('hammer', 'hammer')] * 20 + [('torx', 'torx')] * 8 + [('torx', 'wrench')] * 2
               + [('wrench', 'wrench')] * 8 + [('wrench', 'torx')] * 2)
    lines = advice(*case(answers))
    assert lines == ['torx and wrench are confused in 4 of 20 held-out photographs: take more of '
                     'both as they lie there (such as 28.jpg)']


def test_nothing_is_asked_for_where_nothing_is_missing():
    lines = advice(*case([(label, label) for label in LABELS for _ in range(20)]))
    assert lines == ['nothing is missing that could be seen: 60 of 60 held-out photographs are '
                     'right']


def test_what_is_too_little_to_know_is_said():
    held, photos, labels = case([(label, label) for label in ('hammer', 'wrench')
                                 for _ in range(20)])
    photos += [Photo('torx', f'{n}.jpg', f'{n + 100:064x}', None, 99, True) for n in range(12)]
    assert advice(held, photos, labels) == [
        'none of torx could be held out: take more at another time, or of another object']
    assert advice(held, photos[:-4], labels) == [
        'torx has 8 photographs: 10 are a start, 20 are good']
    entry = to_metadata(held_by_label(held, photos, labels), [])['per_label']
    assert entry['torx']['recall'] is None
    assert entry['hammer']['recall'] == 1.0


def test_a_label_that_is_often_missed_for_many_others_is_named():
    answers = [('torx', 'torx')] * 10 + [('torx', 'hammer')] * 4 + [('torx', 'wrench')] * 6
    answers += [('hammer', 'hammer')] * 200 + [('wrench', 'wrench')] * 200
    assert advice(*case(answers)) == [
        'torx is known in 10 of 20 held-out photographs: take more of it']


def test_a_burst_is_one_witness_in_the_interval():
    answers = [('hammer', 'hammer')] * 12 + [('torx', 'torx')] * 12
    alone = held_by_label(*case(answers))['hammer']
    together = held_by_label(*case(answers, group=lambda number: number // 6))['hammer']
    assert (alone.bursts, together.bursts) == (12, 2)
    assert alone.photographs == together.photographs == 12
    assert together.low < alone.low < 1.0
    # Of one burst nothing is known of the spread, and there is no interval.
    once = held_by_label(*case(answers, group=lambda number: number // 12))['hammer']
    assert (once.nll_low, once.nll_high) == (0.0, float('inf'))
    assert to_metadata({'hammer': once}, [])['per_label']['hammer']['nll_high'] is None


def test_the_nll_of_each_label_and_of_all_is_that_of_the_photographs_as_they_are():
    answers = [('hammer', 'hammer')] * 3 + [('torx', 'torx')] * 3 + [('torx', 'hammer')]
    right, wrong = (np.log(np.exp(0.5) + 2) - own for own in (0.5, 0.0))
    by_label = held_by_label(*case(answers), temperature=2.0)
    assert np.isclose(by_label['hammer'].nll, right)
    torx, every = by_label['torx'], held_in_all(*case(answers), temperature=2.0)
    assert np.isclose(torx.nll, (3 * right + wrong) / 4)
    assert torx.nll_low <= torx.nll <= torx.nll_high
    assert (every.photographs, every.bursts, every.right) == (7, 7, 6)
    assert np.isclose(every.nll, (6 * right + wrong) / 7)
    assert to_metadata(by_label, [], every)['all']['right'] == 6
