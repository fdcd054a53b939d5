"""
The console's way to the camera and to the recognizer's models, for the page ``Teach``.

The camera's frames are heard while such a page is open, or a frame was asked for just now. They
are looked at as the recognizer looks at them: its parameters are read, and read again while it
goes on. Left out: what is done with the frames and the models.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from math import inf
from pathlib import Path
from time import monotonic
from time import sleep
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from tool_recognizer.console.action import LOST
from tool_recognizer.console.board import Status
from tool_recognizer.console.state import Console
from tool_recognizer.console.teaching import TeachError
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.view import FULL_SIZE
from tool_recognizer.core.view import look
from tool_recognizer.core.view import View
from tool_recognizer.messages import from_ros
from tool_recognizer.messages.from_ros import BadFrame
from tool_recognizer.ros.actions import LOADED
from tool_recognizer.ros.listener import Arrival
from tool_recognizer.ros.listener import Listener
from tool_recognizer.ros.recognizer.camera_topic import CameraTopic
from tool_recognizer.ros.recognizer.entities import Entities

# What teaching must know of the recognizer: how it looks at frames, and which models it has.
WATCHED = ('region.x', 'region.y', 'region.width', 'region.height', 'region.rotation',
           'locate.mode', 'locate.single', 'passage.gate', 'image_transport', 'camera.max_pixels',
           'model_path', 'models.path', 'shadow_model_path')
# Seconds between two looks at what is to be done; after which the parameters are read again;
# after which a frame is not of now; that the first one may take; without a wish for one after
# which the camera is not heard any more; between two frames that are heard; for a response.
TICK, OLD, FRESH, FIRST, UNWANTED, PAUSE, RESPONSE = 0.1, 2.0, 2.0, 5.0, 10.0, 0.1, 5.0


class Teacher:
    """
    See the module: ``console.teaching.Camera`` and ``console.candidates.Recognizer``.

    Parameters
    ----------
    node : the console
    recognizer : name of the recognizer's node
    console : calls the recognizer's services, and knows how many pages are open

    """

    def __init__(self, node: Node, recognizer: str, console: Console) -> None:
        self._node, self._console = node, console
        self._get = node.create_client(GetParameters, f'{recognizer}/get_parameters')
        self._due: deque[Callable[[], None]] = deque()
        self._values: dict[str, Any] = {}
        self._asked_at = self._wanted_at = -inf
        self._labels: tuple[str, ...] = ()
        self._topic, self._model = '', ''
        self._entities = Entities(node)
        self._listener: Listener | None = None
        self._camera: CameraTopic | None = None
        self._heard_on: tuple[str, str] = ('', '')
        self._arrival: Arrival | None = None
        node.create_timer(TICK, self._on_tick)

    def close(self) -> None:
        """Hear the camera no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        self._entities.destroy()
        self._arrival = None

    # -- what is known of the recognizer ----------------------------------------------------------

    def hear_labels(self, labels: tuple[str, ...]) -> None:
        """Take in the labels of the model in charge."""
        self._labels = labels

    def hear_statuses(self, statuses: Mapping[str, Status]) -> None:
        """Take in what the recognizer says of itself: its camera's topic and its model."""
        if 'input' in statuses:
            self._topic = statuses['input'].values.get('topic', self._topic)
        if 'inference' in statuses:
            self._model = statuses['inference'].values.get('model', self._model)

    def labels(self) -> Sequence[str]:
        """Return the labels of the model in charge."""
        return self._labels

    def model(self) -> Path:
        """Return the file of the model in charge; raises TeachError if it is not known here."""
        end = monotonic() + RESPONSE
        while not self._model and monotonic() < end:
            sleep(TICK)  # a console that has just started hears of it in a moment
        if not self._model:
            raise TeachError('silent', 'the recognizer does not say which model it has')
        if not Path(self._model).is_file():
            raise TeachError('other', f'{self._model}, the model in charge, is not on this '
                             'machine')
        return Path(self._model)

    def parameters(self) -> Mapping[str, Any]:
        """Return the recognizer's parameters that are watched, as they are now."""
        end = monotonic() + RESPONSE
        while True:
            try:
                self._wait(self._read, RESPONSE)
            except TeachError as error:
                # A console that has just started finds it in a moment.
                if error.reason != 'silent' or monotonic() > end:
                    raise
                sleep(TICK)
            else:
                return self._values

    def set_parameters(self, values: Mapping[str, str]) -> None:
        """Set some; raises TeachError if one is refused, or nobody responds."""
        self._act('set_parameters', RESPONSE, values)

    def reload(self) -> str:
        """Have the models loaded anew; return what it says, with their digests."""
        return self._act('reload_model', LOADED)

    def _act(self, action: str, seconds: float, values: Mapping[str, str] = {}) -> str:
        """Have the recognizer do something; return what it says, unless it refuses."""
        def ask(done: Future[Any]) -> None:
            self._console.act(action, lambda *said: done.set_result(said), values)
        success, text, *more = self._wait(ask, seconds)
        if not success:
            reason = more[0] if more else 'refused'
            raise TeachError('silent' if reason == LOST else reason, text)
        return str(text)

    def _wait(self, ask: Callable[[Future[Any]], None], seconds: float) -> Any:
        """Have something asked in ROS's thread, and wait for the answer in this one."""
        done: Future[Any] = Future()

        def begin() -> None:
            try:
                ask(done)
            except TeachError as error:
                done.set_exception(error)
            except Exception as error:
                done.set_exception(TeachError('other', str(error)))
        self._due.append(begin)
        try:
            return done.result(seconds)
        except TooLate:
            raise TeachError('silent', 'the recognizer does not respond') from None

    def _read(self, done: Future[None]) -> None:
        def take(given: Any) -> None:
            self._values = {name: parameter_value_to_python(value) for name, value in zip(
                WATCHED, given.result().values, strict=True)}
            done.set_result(None)
        self._check_is_there(self._get)
        self._get.call_async(GetParameters.Request(names=list(WATCHED))).add_done_callback(take)

    def _check_is_there(self, client: Any) -> None:
        if not client.service_is_ready():
            raise TeachError('silent', f'no service {client.service_name}: does the recognizer '
                             'run?')

    # -- the camera -------------------------------------------------------------------------------

    def newest(self) -> Frame:
        """Return the newest frame as the recognizer is shown it; see ``console.teaching``."""
        end = monotonic() + FIRST
        while (arrival := self._fresh()) is None:
            self._wanted_at = monotonic()
            if monotonic() > end:
                said = None if self._camera is None else self._camera.trouble()
                raise TeachError('camera', said or 'the recognizer does not say which camera it '
                                 'hears', code='' if said is None else said.code,
                                 topic=self._topic)
            sleep(TICK)
        self._wanted_at = monotonic()
        try:
            view = View.of(self._values.__getitem__)
            frame = from_ros.frame(arrival.message, FULL_SIZE, self._values['camera.max_pixels'])
            return look(frame, view._replace(glances=False)).frame
        except (BadFrame, ValueError) as error:
            raise TeachError('frame', str(error)) from None

    def _fresh(self) -> Arrival | None:
        arrival = self._arrival
        return arrival if arrival is not None and (
            monotonic() - arrival.moment < FRESH and self._values) else None

    def _hear(self, arrival: Arrival) -> None:
        """In the camera's thread: keep the newest frame; one now and then is enough."""
        self._arrival = arrival
        sleep(PAUSE)

    def _on_tick(self) -> None:
        while self._due:
            self._due.popleft()()
        now = monotonic()
        wanted = (self._console.metrics.clients('teach') > 0
                  or now - self._wanted_at < UNWANTED)
        if wanted and now - self._asked_at > OLD and self._get.service_is_ready():
            self._asked_at = now
            self._read(Future())
        place = (self._topic, self._values.get('image_transport', '')) if wanted else ('', '')
        if not all(place):
            place = ('', '')
        if place != self._heard_on:
            self.close()
            self._heard_on = place
            if place[0]:
                compressed = place[1] == 'compressed'
                self._camera = CameraTopic(
                    self._node, compressed, place[0].removesuffix('/compressed')
                    if compressed else place[0])
                self._listener = self._camera.listen(self._entities, self._hear)
        if self._listener is not None:
            self._listener.check()
