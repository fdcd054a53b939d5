"""
The node ``/collector``: the camera's frames into a collection, as they change.

It looks at a frame every so often, and the collection decides whether it is worth keeping. Left
out: the person who shows the tool, and the training.
"""

from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.validate_topic_name import validate_topic_name
from tool_recognizer.core.region import Region
from tool_recognizer.core.view import FULL_SIZE
from tool_recognizer.core.view import look
from tool_recognizer.core.view import View
from tool_recognizer.messages import from_ros
from tool_recognizer.messages.from_ros import BadFrame
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import ModelFileError
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.ros.endings import Finished
from tool_recognizer.ros.listener import Arrival
from tool_recognizer.ros.recognizer.camera_topic import CameraTopic
from tool_recognizer.ros.recognizer.entities import Entities
from tool_recognizer.training.assemble import input_spec
from tool_recognizer.training.collection import Collection
from tool_recognizer.training.collection import CollectionError

# Seconds between two looks whether it is done, and without a frame after which it says so.
LOOK, SILENCE = 0.2, 3.0


class CollectorNode(Node):
    """
    Collect until there are enough, the time is over, or somebody ends it.

    Parameters
    ----------
    label : of what is shown
    output : the collection's folder
    topic : of the camera
    compressed : whether its frames are compressed
    every : seconds between two frames that are looked at
    count : photographs after which it ends; 0: none
    seconds : after which it ends; 0: never
    base : the model file on which is to be trained
    region : x, y, width, height of the part that is looked at, as fractions; None: all
    rotation : degrees clockwise by which it is turned
    locate : show the object alone, where it is small

    Raises
    ------
    ValueError
        One of them cannot be used.

    """

    def __init__(self, label: str, output: Path, topic: str, compressed: bool, every: float,
                 count: int, seconds: float, base: Path, region: list[float] | None,
                 rotation: int, locate: bool, **options: Any) -> None:
        try:
            validate_topic_name(topic)
        except InvalidTopicNameException as error:
            raise ValueError(f'--from {error}'.partition('\n')[0] + f', got {topic!r}') from None
        try:
            model = ModelFile.read(base)
        except ModelFileError as error:
            raise ValueError(str(error)) from None
        x, y, width, height = region or (0.0, 0.0, 1.0, 1.0)
        self._view = View(Region(x, y, width, height, rotation), 'auto' if locate else 'off')
        self._collection = Collection(output, model, input_spec(model, None))
        self._collection.check_label(label)
        super().__init__('collector', cli_args=['--ros-args', '-r', f'image_raw:={topic}'],
                         **options)
        self._label, self._every, self._count = label, every, count
        self.taken = 0
        self._failure: CollectionError | None = None
        self._heard = self._looked = monotonic()
        self._entities = Entities(self)
        self._camera = CameraTopic(self, compressed)
        self._listener = self._camera.listen(self._entities, self._hear)
        self.create_timer(LOOK, self._look)
        if seconds:
            self.create_timer(seconds, self._finish)
        self.get_logger().info(f'collecting {label} from {self._camera.name} into {output}; '
                               'show it from all sides')

    def destroy_node(self) -> None:
        """Finish the picture in work; say what became of all."""
        self._listener.stop()
        self._entities.destroy()
        counts = ', '.join(f'{label} {n}' for label, n in sorted(
            self._collection.counts().items())) or 'nothing'
        refused = ', '.join(f'{reason} {n}' for reason, n in sorted(
            self._collection.refused.items())) or 'none'
        self.get_logger().info(f'{self.taken} new; in all: {counts}; refused: {refused}')
        super().destroy_node()

    def _hear(self, arrival: Arrival) -> None:
        """In the camera's thread: take a frame in, if it is time."""
        self._heard = arrival.moment
        if self._failure or arrival.moment < self._looked + self._every or (
                self._count and self.taken >= self._count):
            return
        self._looked = arrival.moment
        try:
            frame = from_ros.frame(arrival.message, FULL_SIZE)
            taken = self._collection.take(self._label, look(frame, self._view).frame)
            if taken.path is not None:
                with suppress(PictureError):  # somebody has just removed it
                    self._collection.compute(taken.path)
        except BadFrame as error:
            self._collection.refused[error.reason] += 1
            self.get_logger().warning(f'left out: {error}', throttle_duration_sec=1.0)
            return
        except CollectionError as error:
            self._failure = error
            return
        if taken.path is None:
            self.get_logger().info(f'left out: {taken.words}', throttle_duration_sec=1.0)
            return
        self.taken += 1
        far = f', {taken.novelty:.0f} degrees from the nearest' if 0 < taken.novelty < 360 else ''
        self.get_logger().info(f'{self._label} {self.taken}: {taken.path.name}{far}')

    def _look(self) -> None:
        self._listener.check()
        if self._failure is not None:
            raise Finished(2, str(self._failure))
        if self._count and self.taken >= self._count:
            self._finish()
        if monotonic() > self._heard + SILENCE:
            self._heard = monotonic()
            self.get_logger().warning(self._camera.trouble())

    def _finish(self) -> None:
        if not self.taken:
            raise Finished(1, 'nothing was taken: '
                           + (self._camera.trouble() if not self._collection.refused else
                              'every frame was refused, see above'))
        raise Finished
