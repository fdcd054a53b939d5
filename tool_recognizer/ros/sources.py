"""
Sources of frames for the camera node: what can stand in for a camera driver.

A folder of pictures, a video, a device, a bag, or the drawn assembly line: each is one pass over
shots. A picture that cannot be read is skipped with a warning, never shown in part.
"""

from collections.abc import Callable
from collections.abc import Iterator
from itertools import count
import os
from pathlib import Path
import random
from typing import NamedTuple
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.bags.bag import BadMessage
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.bag import is_bag
from tool_recognizer.bags.plan import choose
from tool_recognizer.bags.plan import PRESENT
from tool_recognizer.bags.playing import choose_present
from tool_recognizer.bags.recording import look
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.view import FULL_SIZE
from tool_recognizer.messages.from_ros import BadFrame
from tool_recognizer.messages.from_ros import frame
from tool_recognizer.pictures.codec import decode_picture
from tool_recognizer.pictures.error import MAX_PIXELS
from tool_recognizer.pictures.error import PictureError
from tool_recognizer.pictures.folders import Finder
from tool_recognizer.pictures.folders import why_not
from tool_recognizer.pictures.header import kind_of
from tool_recognizer.pictures.line import AssemblyLine

Pixels = NDArray[np.uint8]
Tell = Callable[[str], None]

# Kinds of picture that every subscriber can decode: the others are sent as JPEG.
COMMON = ('JPEG', 'PNG')
# Sources that are drawn, and how they look.
DRAWN = {'line': 'belt', 'bench': 'bench'}


class SourceError(ValueError):
    """A source that cannot be used, and why."""


class Shot(NamedTuple):
    """
    What is seen at one moment.

    Attributes
    ----------
    pixels : (H, W, C) or (H, W) uint8
    order : its channels, as in ``Frame``
    label : the tool that is shown; '' if there is none; None if the source does not know
    encoded : the compressed bytes that the pixels come from, if there are any
    key : the identity that was recorded, if it was
    pause : seconds since the shot before, if that was recorded
    moment : when it was recorded, ns, if it was

    """

    pixels: Pixels
    order: str
    label: str | None = None
    encoded: bytes | None = None
    key: FrameKey | None = None
    pause: float | None = None
    moment: int | None = None


class RecordedMessage(NamedTuple):
    """
    What was recorded beside the frames: a confirmation, or whether an object is there.

    Attributes
    ----------
    topic : last part of the name of a recognizer's topic for it
    kind : its type, as 'std_msgs/msg/String'
    raw : its bytes, CDR
    pause : seconds since the shot or the message before
    moment : when it was recorded, ns

    """

    topic: str
    kind: str
    raw: bytes
    pause: float
    moment: int


class Source(Protocol):
    """One pass over shots, again at each ``shots()``."""

    def shots(self) -> Iterator[Shot | RecordedMessage]:
        """Yield the shots of one pass; a recording has other messages, too."""


def open_source(name: str, *, tell: Tell, seed: int = 0, topic: str = '',
                transport: str = 'raw', present_topic: str = '') -> Source:
    """
    Open a source by its name.

    Parameters
    ----------
    name : 'line' or 'bench' (drawn), a folder, a picture, a video file or its address, a device
        (/dev/video0 or its number) or a bag
    tell : called with a line for each picture that is skipped
    seed : of what is drawn, and of the order in which a folder's pictures come
    topic : the image topic of a bag; needed only if it has several cameras
    transport : 'raw' or 'compressed': which topic of a bag, if it has both of one camera
    present_topic : of a bag: what says whether an object is there; '': as ``choose_present`` does

    Raises
    ------
    SourceError
        There is no such thing, or nothing in it can be shown.

    """
    path = Path(name).expanduser()
    if name in DRAWN:
        return Line(seed, look=DRAWN[name])
    if name.isdigit() or name.startswith('/dev/'):
        return Video(int(name) if name.isdigit() else name)
    if '://' in name:
        return Video(name)
    if not path.exists():
        raise SourceError(f'source {name!r} does not exist; give line, bench, a folder, a '
                          'video, a device such as /dev/video0, or a bag')
    if is_bag(path):
        return RecordedFrames(path, tell, topic, transport, present_topic)
    if path.is_dir():
        return Pictures(path, tell, seed)
    if not path.is_file():
        raise SourceError(f'source {name!r} is neither a file nor a folder, nor a device in /dev')
    try:
        reason = why_not(path)
    except OSError as error:
        raise SourceError(f'{path}: cannot be read ({error.strerror})') from None
    if reason is None and path.suffix.lower() != '.gif':
        return Pictures(path, tell, seed)
    if reason is not None and reason.cure:
        raise SourceError(f'{path}: a picture in {reason.what} ({reason.cure})')
    return Video(str(path))


def count_pictures(name: str) -> int:
    """Count the pictures of a source that is a folder of them; 0 for any other."""
    path = Path(name).expanduser()
    if name in DRAWN or not path.is_dir():
        return 0
    return sum(len(folder.pictures) for folder in Finder().find(path))


class Line:
    """A drawn line; it has no end."""

    def __init__(self, seed: int, light: float = 1.0, look: str = 'belt') -> None:
        self._line = AssemblyLine(seed, look=look)
        self.light = light

    def shots(self) -> Iterator[Shot]:
        """Yield frames; ``light`` may be changed on the way."""
        for index in count():
            pixels, label = self._line.frame(index, light=self.light)
            yield Shot(pixels, 'rgb', label or '')


class Pictures:
    """A folder of pictures; a folder in it names what its pictures show."""

    def __init__(self, path: Path, tell: Tell, seed: int) -> None:
        self._tell = tell
        if path.is_file():
            self._files: list[tuple[Path, str | None]] = [(path, None)]
            return
        folders = Finder().find(path)
        summaries = [line for folder in folders if (line := folder.summary())]
        groups = [[(file, None if folder.is_top else folder.path.name) for file in folder.pictures]
                  for folder in folders]
        # Labels in turn in proportion to their number, so that any stretch shows all of them.
        shuffle = random.Random(seed)
        placed = []
        for group in groups:
            shuffle.shuffle(group)
            offset = shuffle.random()
            placed += [((place + offset) / len(group), entry)
                       for place, entry in enumerate(group)]
        self._files = [entry for _, entry in sorted(placed, key=lambda p: (p[0], str(p[1])))]
        if not self._files:
            raise SourceError('; '.join([f'{path}: no pictures in it or in its folders',
                                         *summaries]))
        for line in summaries:
            tell(line)

    def shots(self) -> Iterator[Shot]:
        """Yield every picture once."""
        for file, label in self._files:
            try:
                encoded = file.read_bytes()
                pixels, order = decode_picture(encoded)
            except (OSError, PictureError) as error:
                self._tell(f'{file}: skipped: {error}')
                continue
            yield Shot(pixels, order, label, encoded if kind_of(encoded) in COMMON else None)


class Video:
    """A video file, an address or a device, through OpenCV."""

    def __init__(self, name: str | int) -> None:
        self._name = name
        self._open().release()

    def _open(self) -> cv2.VideoCapture:
        is_device = isinstance(self._name, int) or self._name.startswith('/dev/')
        if is_device:
            # OpenCV says neither what is wrong nor what helps.
            _check_device(Path(f'/dev/video{self._name}' if isinstance(self._name, int)
                               else self._name))
        capture = cv2.VideoCapture(self._name)
        if not capture.isOpened():
            raise SourceError(f'{self._name!r} cannot be opened as a video or a camera'
                              + ('; does another program use it?' if is_device else ''))
        width, height = (int(capture.get(size)) for size in (
            cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise SourceError(f'{self._name!r} has {width} x {height} pixels, the limit is '
                              f'{MAX_PIXELS}')
        return capture

    def shots(self) -> Iterator[Shot]:
        """Yield frames until the video ends; a device has no end."""
        capture = self._open()
        # A device paces itself: reading waits for its next frame.
        rate = capture.get(cv2.CAP_PROP_FPS)
        pause = 1.0 / rate if isinstance(self._name, str) and rate > 0.0 else 0.0
        try:
            while True:
                there, pixels = capture.read()
                if not there:
                    return
                yield Shot(np.asarray(pixels, dtype=np.uint8), 'bgr', pause=pause)
        finally:
            capture.release()


class RecordedFrames:
    """
    A bag's frames and confirmations, at the recorded pace and with the recorded stamps.

    Attributes
    ----------
    present : the recorded topic that says whether an object is there, which is played, too; or ''

    """

    def __init__(self, path: Path, tell: Tell, topic: str, transport: str, present_topic: str
                 ) -> None:
        self._path, self._tell = path, tell
        try:
            topics = look(path).topics
        except BagError as error:
            raise SourceError(str(error)) from None
        try:
            plan = choose(topics, image_topic=topic, transport=transport,
                          option='the parameter bag_topic')
            self.present, note = choose_present(topics, present_topic,
                                                'the parameter present_topic')
        except BagError as error:
            raise SourceError(f'{path}: {error}') from None
        self._topic, self._confirmed = plan.frames, frozenset(plan.confirmed)
        if note:
            tell(f'{path}: {note}')

    @property
    def confirmation_topics(self) -> frozenset[str]:
        """Return the last part of the name of each topic with confirmations."""
        return frozenset(name.rpartition('/')[2] for name in self._confirmed)

    def shots(self) -> Iterator[Shot | RecordedMessage]:
        """Yield frames and other messages in the order of their recording."""
        before = None
        played = {self._topic, *self._confirmed, *filter(None, [self.present])}
        with Bag(self._path) as bag:
            for recorded in bag.messages(played):
                pause = 0.0 if before is None else (recorded.moment - before) / 1e9
                if recorded.topic != self._topic:
                    before = recorded.moment
                    name = (PRESENT if recorded.topic == self.present else
                            recorded.topic.rpartition('/')[2])
                    yield RecordedMessage(name, recorded.kind, bytes(recorded.raw), pause,
                                          recorded.moment)
                    continue
                try:
                    message = deserialize(recorded)
                    seen = frame(message, FULL_SIZE)
                except (BadFrame, BadMessage) as error:
                    self._tell(f'{self._path}: frame skipped: {error}')
                    continue
                before = recorded.moment
                encoded = None if hasattr(message, 'encoding') else message.data.tobytes()
                yield Shot(seen.pixels, seen.order, None, encoded, seen.key, pause,
                           recorded.moment)
            for loss in bag.losses:
                self._tell(f'{self._path}: {loss}')


def _check_device(path: Path) -> None:
    if not path.exists():
        there = sorted(map(str, Path('/dev').glob('video*')))
        raise SourceError(f'{path}: no such device; there is '
                          f'{", ".join(there) or "no /dev/video* on this machine"}')
    if not os.access(path, os.R_OK):
        raise SourceError(f'{path}: no permission: is the user in the group video?')
