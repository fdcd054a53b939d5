"""The pictures of the last frames: in memory that is taken once, the newest ones."""

from hypothesis import given
from hypothesis import strategies as st
import pytest
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.pictures.recent_pictures import RecentPictures

BUDGET = 100


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 130)), max_size=60))
def test_a_picture_is_found_as_it_came_or_not_at_all_and_the_newest_is_there(added):
    pictures, known = RecentPictures(BUDGET), {}
    for number, (stamp, size) in enumerate(added):
        picture = bytes([number % 256]) * size
        pictures.add(FrameKey(stamp, ''), picture)
        known[stamp] = picture
        assert pictures.find(FrameKey(stamp, '')) == (picture if size <= BUDGET else None)
        found = [stamp for stamp in known if pictures.find(FrameKey(stamp, '')) is not None]
        assert sum(len(known[stamp]) for stamp in found) <= BUDGET
        for stamp in found:
            assert pictures.find(FrameKey(stamp, '')) == known[stamp]


def test_what_is_too_large_is_not_held_and_makes_none_leave():
    pictures = RecentPictures(BUDGET)
    pictures.add(FrameKey(1, ''), b'jpeg')
    pictures.add(FrameKey(2, ''), bytes(BUDGET + 1))
    assert pictures.find(FrameKey(1, '')) == b'jpeg'
    assert pictures.find(FrameKey(2, '')) is None


@pytest.mark.parametrize('picture', [b'jpeg', b''])
def test_without_a_budget_none_is_held(picture):
    pictures = RecentPictures(0)
    pictures.add(FrameKey(1, ''), picture)
    assert not pictures.wanted
    assert pictures.find(FrameKey(1, '')) is None
