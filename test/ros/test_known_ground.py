"""A recognizer that learns the empty place finds what comes into it, over DDS."""

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from graph import Camera
from graph import header
from graph import raw
from graph import values
import numpy as np
from tool_recognizer.pictures.codec import read_picture
from vision_msgs.msg import Detection2DArray

NODE = '/tool_recognizer'


def test_the_place_is_learned_and_what_differs_from_it_is_found(peer, recognizer, photos):
    recognizer(locate__mode='ground', decision__deadline=60.0)
    camera = Camera(peer)
    detections = peer.collect(Detection2DArray, f'{NODE}/detection',
                              keep=lambda message: message.header.frame_id == 'bench')
    arrays = peer.collect(DiagnosticArray, '/diagnostics')
    peer.meet()
    bench = np.random.default_rng(0).integers(100, 110, (240, 320, 3)).astype(np.uint8)
    tool = bench.copy()
    pixels = read_picture(next(path for path, label in photos if label == 'wrench'))[0]
    tool[130:226, 30:126] = cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA)

    def show(picture, times=1):
        for _ in range(times):
            show.number += 1
            camera.answer(raw(picture, header(show.number), 'bgr8'))

    def said(state):
        return next((status for array in arrays for status in array.status
                     if status.name == 'tool_recognizer: input'
                     and state in values(status)['state']), None)
    show.number = 0
    show(bench)  # of another shape than first frames: nothing is known of it
    arrays.clear()
    unknown = peer.wait(lambda: said('ground_unlearned'), 'nobody says that it is unknown')
    assert 'leave it empty for ten frames' in unknown.message
    show(bench, 15)
    arrays.clear()
    peer.wait(lambda: said('answering'), 'it was not learned')
    show(tool)
    show(bench)
    peer.wait(lambda: len(detections) == 18, 'no detections')
    assert [len(one.detections) for one in detections[-2:]] == [1, 0]
    box = detections[-2].detections[0].bbox
    assert abs(box.center.position.x - 78) < 12
    assert abs(box.center.position.y - 178) < 12
