"""
The network that ``core/locate.py`` finds an object by: its file, and one network a thread.

OpenCV runs it. It was fitted by maximum likelihood on scenes whose objects are known, see
``tools/fit_finder.py``.
"""

from pathlib import Path
from threading import local

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Reals = NDArray[np.float32]

FILE = Path(__file__).parent / 'models' / 'finder.onnx'
# It halves a picture four times.
STEP = 16
# By which its input is divided, levels.
SCALE = 64.0


class _Network(local):
    """OpenCV's networks answer one thread at a time, so each thread has its own."""

    net: cv2.dnn.Net | None = None

    def answer(self, blob: Reals) -> Reals:
        """Return the logits, (4, h / 4, w / 4), for a (1, 3, h, w) input."""
        if self.net is None:
            self.net = cv2.dnn.readNetFromONNX(str(FILE))
        self.net.setInput(blob)
        return np.asarray(self.net.forward()[0], np.float32)


_NETWORK = _Network()


def belonging(picture: Pixels) -> Reals:
    """
    Say how probable it is that each two by two pixels show an object that lies on the ground.

    Parameters
    ----------
    picture : (h, w, 3) uint8 RGB; h and w are multiples of STEP, about 192

    Returns
    -------
    (h / 2, w / 2) probabilities

    """
    blob = cv2.dnn.blobFromImage(picture, 1 / SCALE, mean=cv2.mean(picture))
    logits = _NETWORK.answer(np.asarray(blob, np.float32))
    rows, columns = logits.shape[1:]
    # Of the four numbers of a place, two belong to its upper and two to its lower half.
    spread = logits.reshape(2, 2, rows, columns).transpose(2, 0, 3, 1)
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * spread.reshape(2 * rows, 2 * columns)), np.float32)
