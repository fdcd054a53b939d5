"""
Bags read by the machines of a Dask cluster, one bag per task; the rest of a replay runs here.

What is inferred elsewhere is inferred in the same batches as here, so that the result is the same.
A bag whose worker is lost is given to another one. The cluster is trusted: whoever can reach its
scheduler can run code on its machines.
"""

from collections import deque
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from tool_recognizer.assembly import make_engine
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.bag import Recorded
from tool_recognizer.bags.plan import Plan
from tool_recognizer.bags.recording import AnsweredFrame
from tool_recognizer.bags.recording import Event
from tool_recognizer.bags.recording import Opened
from tool_recognizer.bags.recording import OtherMessage
from tool_recognizer.bags.recording import read
from tool_recognizer.core.view import View
from tool_recognizer.parameters import Value

# Seconds in which the scheduler must answer.
PATIENCE = 10
# If workers are lost again and again, the bag may be what kills them.
RETRIES = 3


class ClusterError(ValueError):
    """A cluster that cannot be used, and why."""


class Cluster:
    """
    Read bags elsewhere; called with a bag's number, it yields the bag's events.

    Parameters
    ----------
    address : of the scheduler, as tcp://host:8786
    bags : the bags; the workers must see them under the same paths
    plan : the topics
    parameters : all of the recognizer's
    digest : of the model that is in charge here
    losses : is filled with what could not be read of each bag, by its number

    Raises
    ------
    ClusterError
        dask is not installed, or the scheduler does not answer.

    """

    def __init__(self, address: str, bags: Sequence[Opened], plan: Plan,
                 parameters: Mapping[str, Value], digest: str,
                 losses: dict[int, Sequence[str]]) -> None:
        try:
            import distributed
        except ImportError:
            raise ClusterError("--scheduler needs Dask: pip install 'dask[distributed]'"
                               ) from None
        connect: Any = distributed.Client
        try:
            self._client: Any = connect(address, timeout=PATIENCE)
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(f'no Dask scheduler answers at {address}: {error}') from None
        self._digest, self._losses = digest, losses
        self._tasks: list[Any] = [
            self._client.submit(read_bag, str(bag.path.resolve()), plan, dict(parameters),
                                retries=RETRIES, pure=False) for bag in bags]

    def __call__(self, number: int) -> Iterator[Event]:
        """Yield the events of a bag, once it is read; the cluster may then free it."""
        try:
            events, losses, digest = self._tasks[number].result()
        except (BagError, ValueError):
            raise
        except Exception as error:  # of Dask, or of a worker's machine
            raise ClusterError(f'the cluster could not read bag {number + 1}: '
                               f'{type(error).__name__}: {error}') from None
        self._tasks[number] = None
        if digest != self._digest:
            raise ClusterError(f'a worker has another model ({digest[:12]}) than this machine '
                               f'({self._digest[:12]}) under the same path')
        self._losses[number] = losses
        for event in events:
            if isinstance(event, Recorded):
                yield OtherMessage(event.moment, event.topic, deserialize(event))
            else:
                yield event

    def __enter__(self) -> 'Cluster':
        """Return the cluster itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Cancel what is still to be done."""
        self._client.cancel([task for task in self._tasks if task is not None])
        self._client.close()


def read_bag(path: str, plan: Plan, parameters: Mapping[str, Value]
             ) -> tuple[list[Event | Recorded], list[str], str]:
    """
    Read one bag, in a worker.

    Parameters
    ----------
    path : the bag
    plan : the topics
    parameters : all of the recognizer's

    Returns
    -------
    Its events, other messages than frames as they were recorded; what could not be read; and the
    digest of the model

    """
    model = make_engine(parameters).model
    # Message classes cannot be sent, so their bytes are; events come in the same order.
    others: deque[Recorded] = deque()

    def remembering(messages: Iterator[Recorded]) -> Iterator[Recorded]:
        for recorded in messages:
            if recorded.topic != plan.frames:
                others.append(recorded._replace(raw=bytes(recorded.raw)))
            yield recorded

    events: list[Event | Recorded] = []
    known: Mapping[str, Any] = parameters
    with Bag(Path(path)) as bag, ThreadPoolExecutor(1) as pool:
        for event in read(remembering(bag.messages(plan.topics)), plan.frames, model,
                          known['camera.max_pixels'], View.of(known.__getitem__), pool, 2):
            recorded = others.popleft() if not isinstance(event, AnsweredFrame) and (
                event.topic != plan.frames) else None
            events.append(recorded if recorded and isinstance(event, OtherMessage) else event)
        return events, bag.losses, model.digest
