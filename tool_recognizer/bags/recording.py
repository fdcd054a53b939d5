"""
A recorded bag as events: frames, answered in batches, confirmations and other messages.

The frames of a bag are read, decoded and inferred in segments of a few consecutive messages, side
by side in threads; what comes out has the order of the recording, whatever the number of threads.
A frame goes the same way as live: ``from_ros.frame``, ``look``, ``fit_frame``, ``infer``.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Executor
from concurrent.futures import Future
from heapq import heappop
from heapq import heappush
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.bags.bag import BadMessage
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.bag import Recorded
from tool_recognizer.bags.bag import Topic
from tool_recognizer.bags.plan import Plan
from tool_recognizer.core.empty_place import Glance
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.quality import fingerprint
from tool_recognizer.core.recognition import fit_frame
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import NonFiniteLogits
from tool_recognizer.core.recognition import predict
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.view import FULL_SIZE
from tool_recognizer.core.view import look as look_at
from tool_recognizer.core.view import Seen
from tool_recognizer.core.view import View
from tool_recognizer.messages import from_ros
from tool_recognizer.model.onnx_model import OnnxModel

# Frames that are inferred together; more gain nothing, and each takes its share of memory.
BATCH = 8
# Messages that a segment holds at most, frames or not.
SEGMENT = 256


class AnsweredFrame(NamedTuple):
    """
    A frame with the model's prediction.

    Attributes
    ----------
    moment : when it was recorded, ns
    prediction : the model's
    unusable : a reserved id, if the frame is not fit for a decision, or None
    digest : CRC-32 of what the network saw, to know a repeated picture
    glance : of the region from afar, if the gate wants it

    """

    moment: int
    prediction: Prediction
    unusable: str | None
    digest: int
    glance: Glance | None = None


class Refused(NamedTuple):
    """
    A frame, or another message, that cannot be used.

    Attributes
    ----------
    moment : when it was recorded, ns
    topic : its topic
    reason : name of the drop counter, as in the live node
    words : why, as a sentence

    """

    moment: int
    topic: str
    reason: str
    words: str


class OtherMessage(NamedTuple):
    """
    Any message but a frame.

    Attributes
    ----------
    moment : when it was recorded, ns
    topic : its topic
    message : the message

    """

    moment: int
    topic: str
    message: Any


Event = AnsweredFrame | Refused | OtherMessage
# How the bag with a number is read: here, or elsewhere.
Reads = Callable[[int], Iterator[Event]]


def read_segment(segment: Sequence[Recorded], frames: str, model: OnnxModel, max_pixels: int,
                 view: View, ground: KnownGround | None = None) -> list[Event]:
    """
    Read consecutive messages; the model predicts for the frames among them in one batch.

    Parameters
    ----------
    segment : the messages
    frames : the topic of the camera
    model : the model
    max_pixels : of the largest frame that is read
    view : how the frames are looked at
    ground : what is known of it, and learns from the frame; then there is one at most

    Returns
    -------
    One event for each message, in the same order

    """
    events: list[Event | None] = []
    places: list[int] = []
    keys: list[FrameKey] = []
    shown: list[Seen] = []
    # Each picture is put where the network takes it from.
    batch = np.empty((sum(recorded.topic == frames for recorded in segment),
                      model.input.height, model.input.width, 3), np.uint8)
    spec = view.reading(model.input)
    for recorded in segment:
        moment, topic = recorded.moment, recorded.topic
        try:
            message = deserialize(recorded)
            if topic != frames:
                events.append(OtherMessage(moment, topic, message))
                continue
            frame = from_ros.frame(message, spec, max_pixels)
            seen = look_at(frame, view, ground)
            fit_frame(seen.frame, model.input, batch[len(keys)])
            shown.append(seen)
            places.append(len(events))
            keys.append(frame.key)
            events.append(None)
        except BadMessage as error:
            events.append(Refused(moment, topic, 'corrupt', str(error)))
        except from_ros.BadFrame as error:
            events.append(Refused(moment, topic, error.reason, str(error)))
        except Exception as error:  # as the live node lives on
            events.append(Refused(moment, topic, *_unforeseen(error)))
    pictures = batch[:len(keys)]
    # All in a row: that is many short steps, and between decoding one picture and the next the
    # processor would have to fetch the code of each anew.
    judged = [_judge(seen, picture, view, model)
              for seen, picture in zip(shown, pictures, strict=True)]
    for place, seen, judgement, prediction in zip(
            places, shown, judged, _predictions(keys, pictures, model), strict=True):
        moment = segment[place].moment
        if isinstance(judgement, _Fault):
            events[place] = Refused(moment, frames, *judgement)
        elif isinstance(prediction, _Fault):
            events[place] = Refused(moment, frames, *prediction)
        else:
            events[place] = AnsweredFrame(
                moment, seen.located(prediction), *judgement, seen.glance)
            if ground is not None:
                ground.learn(prediction.known, judgement[0])
    return [event for event in events if event is not None]


class _Fault(NamedTuple):
    """Why a frame cannot be used: as in ``Refused``."""

    reason: str
    words: str


def _judge(seen: Seen, picture: Pixels, view: View, model: OnnxModel
           ) -> tuple[str | None, int] | _Fault:
    """Say whether a picture is unfit for a decision, and its digest."""
    try:
        return seen.unfit(picture, view, model.quality), fingerprint(picture)
    except Exception as error:  # as the live node lives on
        return _unforeseen(error)


def _predictions(keys: Sequence[FrameKey], pictures: Pixels, model: OnnxModel
                 ) -> list[Prediction | _Fault]:
    """Predict for a batch; if that fails, one by one, so that only the frame at fault fails."""
    if not keys:
        return []
    try:
        return [*predict(keys, pictures, model)]
    except ValueError as error:
        if len(keys) > 1:
            return [prediction for key, picture in zip(keys, pictures, strict=True)
                    for prediction in _predictions([key], picture[np.newaxis], model)]
        reason = 'non_finite' if isinstance(error, NonFiniteLogits) else 'error'
        return [_Fault(reason, str(error))]


def _unforeseen(error: Exception) -> _Fault:
    return _Fault('error', f'{type(error).__name__}: {error}')


def segments(messages: Iterable[Recorded], frames: str, most: int = BATCH
             ) -> Iterator[list[Recorded]]:
    """Cut a recording into segments of so many frames at most."""
    segment: list[Recorded] = []
    count = 0
    for recorded in messages:
        segment.append(recorded)
        count += recorded.topic == frames
        if count == most or len(segment) == SEGMENT:
            yield segment
            segment, count = [], 0
    if segment:
        yield segment


def read(messages: Iterable[Recorded], frames: str, model: OnnxModel, max_pixels: int,
         view: View, pool: Executor, ahead: int, ground: KnownGround | None = None
         ) -> Iterator[Event]:
    """
    Read a recording, segments side by side, events in order.

    Parameters
    ----------
    messages : in the order of the recording
    frames : the topic of the camera
    model : the model; several threads use it
    max_pixels : of the largest frame that is read
    view : how the frames are looked at
    pool : where the segments are worked on
    ahead : segments that are under way at once; so much is in memory, however long the recording
    ground : how a frame is looked at depends on the answers before it, so that they go one by one

    """
    if ground is not None:
        for segment in segments(messages, frames, 1):
            yield from read_segment(segment, frames, model, max_pixels, view, ground)
        return
    waiting: deque[Future[list[Event]]] = deque()
    try:
        for segment in segments(messages, frames):
            waiting.append(pool.submit(read_segment, segment, frames, model, max_pixels, view))
            if len(waiting) >= ahead:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class Opened(NamedTuple):
    """
    What is known of a bag before it is read.

    Attributes
    ----------
    path : as given
    topics : by name
    start, end : recorded time of its first message and of its last, ns

    """

    path: Path
    topics: Mapping[str, Topic]
    start: int
    end: int


def look(path: Path) -> Opened:
    """
    Open a bag and list its topics, without reading its messages.

    Raises
    ------
    BagError
        It cannot be read.

    """
    with Bag(path) as bag:
        return Opened(path, bag.topics, bag.start, bag.end)


def merge(bags: Sequence[Opened], reads: Reads) -> Iterator[tuple[int, Event]]:
    """
    Read several bags as one recording, in the order of the recorded time.

    A bag is opened when its time has come, so that a hundred bags that follow each other take no
    more memory than one.

    Parameters
    ----------
    bags : the bags
    reads : reads one

    Returns
    -------
    The number of the bag with each event

    """
    waiting = deque(sorted((bag.start, number) for number, bag in enumerate(bags)))
    heap: list[tuple[int, int, Event, Iterator[Event]]] = []

    def advance(number: int, events: Iterator[Event]) -> None:
        event = next(events, None)
        if event is not None:
            heappush(heap, (event.moment, number, event, events))

    while waiting or heap:
        while waiting and (not heap or waiting[0][0] <= heap[0][0]):
            number = waiting.popleft()[1]
            advance(number, reads(number))
        if heap:
            _, number, event, events = heappop(heap)
            yield number, event
            advance(number, events)


def requests(path: Path, plan: Plan) -> Iterator[OtherMessage | Refused]:
    """Read the inspection requests, in the order of their recording."""
    if not plan.requests:
        return
    with Bag(path) as bag:
        for recorded in bag.messages(set(plan.requests)):
            try:
                yield OtherMessage(recorded.moment, recorded.topic, deserialize(recorded))
            except BadMessage as error:
                yield Refused(recorded.moment, recorded.topic, 'corrupt', str(error))


def find_frames(path: Path, frames: str, moment: int, max_pixels: int) -> Iterator[Frame]:
    """
    Find frames again by the time of their recording, at their full size.

    Parameters
    ----------
    path : the bag
    frames : the topic of the camera
    moment : ns
    max_pixels : of the largest frame that is read

    """
    with Bag(path) as bag:
        for recorded in bag.messages({frames}, moment, moment + 1):
            try:
                yield from_ros.frame(deserialize(recorded), FULL_SIZE, max_pixels)
            except (BadMessage, from_ros.BadFrame):
                continue
