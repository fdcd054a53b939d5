"""The annotated picture shows what was looked at."""

import cv2
import numpy as np
from tool_recognizer.core.decision import Decision
from tool_recognizer.core.locate import Box
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.view import Seen
from tool_recognizer.pictures.annotation import annotate


def test_the_box_is_drawn_where_the_object_lies():
    frame = Frame(FrameKey(1, 'camera'), np.full((480, 1280, 3), 128, np.uint8), 'rgb')
    prediction = Prediction(frame.key, ('hammer', 'wrench'), np.log([0.9, 0.1]),
                            np.zeros(0, np.float32), 'd')

    def drawn(box, objects):
        data = annotate(frame, Seen(frame, box, objects), prediction, Decision('hammer', 0.9),
                        640, 95)
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[-240:].astype(int)

    changed = np.abs(drawn(Box(400, 100, 800, 300), 1) - drawn(None, 0)).sum(axis=2) > 60
    rows, columns = changed.nonzero()
    np.testing.assert_allclose((columns.min(), rows.min(), columns.max(), rows.max()),
                               (200, 50, 400, 150), atol=2)
    assert not changed[60:140, 210:390].any()
