"""Requests: shown in the order of asking, each with its own picture, each way out counted."""

from tool_recognizer.console.desk import Desk
from tool_recognizer.console.desk import MOST_BYTES
from tool_recognizer.console.desk import Request
from tool_recognizer.core.recognition import FrameKey

PICTURE = b'jpeg'


def key(number):
    return FrameKey(number, 'camera')


def request(number, at=0.0):
    return Request(key(number), {'hammer': 0.2, 'wrench': 0.8}, 0.1, at)


def full_desk(*numbers, limit=10):
    desk = Desk(patience=60.0, limit=limit)
    for number in numbers:
        desk.ask(request(number))
        desk.show(key(number), PICTURE)
    return desk


def test_the_oldest_request_is_shown_and_only_with_its_own_picture():
    desk = Desk(patience=60.0, limit=10)
    desk.ask(request(1))
    desk.ask(request(2))
    assert desk.head() is None
    desk.show(key(2), b'two')
    assert (desk.head().key, desk.head().picture) == (key(2), b'two')
    desk.show(key(1), b'one')
    assert (desk.head().key, desk.head().picture) == (key(1), b'one')


def test_a_picture_may_come_before_its_request():
    desk = Desk(patience=60.0, limit=10)
    desk.show(key(1), PICTURE)
    assert desk.head() is None
    desk.ask(request(1))
    assert desk.head().picture == PICTURE


def test_a_confirmed_request_makes_room_and_an_undone_one_comes_back_first():
    desk = full_desk(1, 2)
    desk.confirm(key(1), skipped=False)
    assert desk.head().key == key(2)
    desk.undo(key(1), now=1.0)
    assert desk.head().key == key(1)
    assert desk.counts == {'asked': 2, 'answered': 1, 'skipped': 0, 'expired': 0, 'undone': 1}


def test_every_request_is_accounted_for():
    desk = full_desk(1, 2, 3, 4, limit=3)
    desk.confirm(key(2), skipped=True)
    desk.confirm(key(3), skipped=False)
    assert desk.expire(now=61.0) == 1
    assert desk.counts == {'asked': 4, 'answered': 1, 'skipped': 1, 'expired': 2, 'undone': 0}
    assert desk.head() is None


def test_an_undone_request_has_all_its_time_again():
    desk = full_desk(1)
    desk.confirm(key(1), skipped=False)
    desk.undo(key(1), now=59.0)
    assert desk.expire(now=61.0) == 0
    assert desk.head().key == key(1)


def test_a_repeated_request_is_one():
    desk = full_desk(1, 1)
    assert len(desk) == 1
    assert desk.counts['asked'] == 1


def test_pictures_without_a_request_do_not_pile_up():
    desk = Desk(patience=60.0, limit=10)
    for number in range(1000):
        desk.show(key(number), PICTURE)
    for number in range(1000):
        desk.ask(request(number))
    assert len(desk) <= 50


def test_pictures_are_bounded_by_their_bytes_and_those_that_are_shown_stay_longest():
    desk = Desk(patience=60.0, limit=1000)
    large = bytes(MOST_BYTES // 10)
    for number in range(5):
        desk.ask(request(number))
        desk.show(key(number), large)
    for number in range(100, 200):
        desk.show(key(number), large)
    assert len(desk) == 5
    for number in range(5, 50):
        desk.ask(request(number))
        desk.show(key(number), large)
    assert len(desk) == 10
    assert desk.counts['asked'] - desk.counts['expired'] == 10
