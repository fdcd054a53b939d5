"""The camera of a benchmark: messages of the drawn line, ready to be stamped and sent."""

from array import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tool_recognizer.pictures.line import AssemblyLine

QUALITY = 90


@dataclass(frozen=True)
class Camera:
    """
    What a camera sends.

    Attributes
    ----------
    width, height : pixels
    transport : 'raw' or 'jpeg'

    """

    width: int
    height: int
    transport: str

    def __str__(self) -> str:
        return f'{self.width}x{self.height} {self.transport}'

    @property
    def kind(self) -> type[Image | CompressedImage]:
        """Return the type of its messages."""
        return Image if self.transport == 'raw' else CompressedImage

    @property
    def topic(self) -> str:
        """Where it sends them, relative to the receiver's namespace."""
        return 'image_raw' if self.transport == 'raw' else 'image_raw/compressed'

    def messages(self) -> list[Any]:
        """Return half a dozen different frames."""
        line = AssemblyLine(0)
        return [self._message(line.frame(index)[0]) for index in range(0, 60, 10)]

    def _message(self, drawn: NDArray[np.uint8]) -> Any:
        pixels = np.asarray(cv2.resize(drawn, (self.width, self.height)), np.uint8)
        header = Header(frame_id='bench')
        if self.transport == 'raw':
            return Image(header=header, height=self.height, width=self.width, encoding='rgb8',
                         step=3 * self.width, data=array('B', pixels.tobytes()))
        data = cv2.imencode('.jpg', pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        return CompressedImage(header=header, format='jpeg', data=array('B', data.tobytes()))


CAMERAS = tuple(Camera(*size, transport) for size in ((640, 480), (1920, 1080))
                for transport in ('raw', 'jpeg'))
