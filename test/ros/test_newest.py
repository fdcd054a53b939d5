"""The worker takes the newest item, drops what waited, and survives its work's errors."""

from queue import Queue
from threading import Event

from tool_recognizer.ros.newest import NewestWorker


def test_older_waiting_items_are_dropped_and_the_newest_is_done():
    done, started, go = [], Event(), Event()

    def work(item):
        started.set()
        go.wait(10)
        done.append(item)

    worker = NewestWorker(work, lambda error: None, 'test')
    assert worker.offer(0) is False
    assert started.wait(10)
    assert [worker.offer(item) for item in (1, 2, 3)] == [False, True, True]
    go.set()
    while len(done) < 2:
        pass
    worker.stop()
    assert done == [0, 3]


def test_an_error_is_reported_and_the_next_item_is_done():
    results = Queue()

    def work(item):
        if item == 'bad':
            raise RuntimeError('cannot')
        results.put(item)

    worker = NewestWorker(work, results.put, 'test')
    worker.offer('bad')
    assert str(results.get(timeout=10)) == 'cannot'
    worker.offer('good')
    assert results.get(timeout=10) == 'good'
    worker.stop()


def test_stopping_finishes_the_item_in_work_and_starts_no_other():
    done, started, go = [], Event(), Event()

    def work(item):
        started.set()
        go.wait(10)
        done.append(item)

    worker = NewestWorker(work, lambda error: None, 'test')
    worker.offer('in work')
    assert started.wait(10)
    worker.offer('waiting')
    go.set()
    worker.stop()
    assert done[0] == 'in work'
    assert len(done) <= 2
