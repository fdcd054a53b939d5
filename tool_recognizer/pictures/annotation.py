"""A frame with its prediction and decision drawn on it, for people."""

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.view import Seen
from tool_recognizer.pictures.codec import encode_jpeg
from tool_recognizer.pictures.codec import picture_of

# Labels shown, the most probable ones.
SHOWN = 5
WHITE, GREEN, AMBER, BAR = (255, 255, 255), (120, 220, 120), (60, 180, 255), (70, 120, 40)


def annotate(frame: Frame, seen: Seen, prediction: Prediction, decision: Decision, width: int,
             jpeg_quality: int) -> bytes:
    """
    Draw the decision, a bar per label and the object's box on a frame.

    Parameters
    ----------
    frame : the camera frame
    seen : what was looked at of it
    prediction : the model's
    decision : for the controller
    width : of the picture in pixels, at most
    jpeg_quality : 1 to 100

    Returns
    -------
    A JPEG, with the text in a band above the frame

    """
    picture = picture_of(frame, width)
    size = picture.shape[1]
    scale = max(0.4, size / 1000.0)
    line = round(34 * scale)
    known = decision.class_id in prediction.labels
    color = GREEN if known else AMBER
    title = f'{decision.class_id} {decision.score:.1%}' if known else decision.class_id
    if seen.objects > 1:
        title += f' ({seen.objects} objects)'
    if seen.box is not None:
        shrunk = size / frame.pixels.shape[1]
        left, top, right, bottom = (round(edge * shrunk) for edge in seen.box)
        cv2.rectangle(picture, (left, top), (right, bottom), color, max(1, round(2 * scale)))
    best = np.argsort(-prediction.log_probabilities)[:SHOWN]
    # Above the picture, so that it covers nothing of what the camera sees.
    band = np.full((line * (len(best) + 1) + line // 2, size, 3), 32, np.uint8)
    picture = np.vstack((band, picture))
    _write(picture, title, line, scale * 1.2, color)
    for number, k in enumerate(best, start=1):
        top = line * number + line // 2
        length = round((size - 2 * line) * float(prediction.probabilities[k]))
        cv2.rectangle(picture, (line // 2, top + line // 6),
                      (line // 2 + length, top + line - line // 8), BAR, cv2.FILLED)
        _write(picture, f'{prediction.labels[k]} {prediction.probabilities[k]:.1%}',
               top + line - line // 4, scale, WHITE)
    return encode_jpeg(picture, jpeg_quality)


def _write(picture: NDArray[np.uint8], text: str, base: int,
           scale: float, color: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, (round(24 * scale), base), cv2.FONT_HERSHEY_SIMPLEX, scale, color,
                max(1, round(2 * scale)), cv2.LINE_AA)
