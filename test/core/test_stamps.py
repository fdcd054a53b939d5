"""What is told of a camera's stamps."""

import pytest
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.stamps import RECENT
from tool_recognizer.core.stamps import StampWatch


def watched(stamps, frame_ids=('camera',)):
    watch = StampWatch()
    for number, stamp in enumerate(stamps):
        watch.look(FrameKey(stamp, frame_ids[number % len(frame_ids)]))
    return watch


@pytest.mark.parametrize(('stamps', 'words'), [
    ([0] * 50, 'are 0 in 50 of the last 50 frames'),
    ([7] * 50, 'stand still in 49 of the last 50 frames'),
    ([t // 2 for t in range(2, 200)], 'stand still in 50 of the last 100 frames'),
    ([t + 1 - 2 * (t % 2) for t in range(2, 60)], 'go back in'),
    ([100 + t - 70 * (t % 2) for t in range(60)], 'go back in 30 of the last 60 frames')])
def test_stamps_that_are_good_for_nothing_are_named_with_their_cure(stamps, words):
    trouble = watched(stamps).trouble()
    assert words in trouble
    assert 'header.stamp' in trouble or 'leave one of them' in trouble


@pytest.mark.parametrize('stamps', [[], [5], range(1, 50), [*range(1, 40)] * 3])
def test_stamps_that_go_on_and_a_recording_that_starts_again_are_no_trouble(stamps):
    assert watched(stamps).trouble() == ''


def test_two_cameras_in_one_topic_are_told_apart_by_their_frame_id():
    trouble = watched([t // 2 for t in range(2, 80)], ('left', 'right')).trouble()
    assert 'frames of several cameras are in one topic' in trouble


def test_it_speaks_of_the_last_frames_and_counts_all():
    watch = watched([*[0] * 10, *range(1, RECENT + 1)])
    assert watch.trouble() == ''
    assert watch.counts == {'zero': 10, 'still': 9}
