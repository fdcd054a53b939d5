"""
A thread that always works on the newest item.

While it works, each newer item replaces the one that waits. So its next item is always the newest,
and nothing queues.
"""

from collections.abc import Callable
from threading import Condition
from threading import Thread
from typing import Generic
from typing import TypeVar

Item = TypeVar('Item')


class NewestWorker(Generic[Item]):
    """
    Hand over items; the newest is worked on, older waiting ones are dropped.

    Parameters
    ----------
    work : called in the thread with one item at a time
    on_error : called in the thread with what ``work`` raised; the thread lives on
    name : of the thread

    """

    def __init__(self, work: Callable[[Item], None], on_error: Callable[[Exception], None],
                 name: str) -> None:
        self._work = work
        self._on_error = on_error
        self._changed = Condition()
        self._waiting: list[Item] = []
        self._stopped = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Hand over an item; return whether an older waiting one was dropped for it."""
        with self._changed:
            dropped = bool(self._waiting)
            self._waiting = [item]
            self._changed.notify()
        return dropped

    def stop(self) -> None:
        """Finish the item in work, drop the one that waits, and end the thread."""
        with self._changed:
            self._stopped = True
            self._waiting = []
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                item = self._waiting.pop()
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)
