"""What the monitor says of itself in one phrase."""

import numpy as np
from tool_recognizer.core.confirmation import Confirmation
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.passage import News
from tool_recognizer.core.passage import Summary
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.messages.monitor_values import monitor_state
from tool_recognizer.messages.monitor_values import passage_state
from tool_recognizer.messages.monitor_values import WARN

LABELS = ('hammer', 'screwdriver', 'wrench')


def test_while_it_learns_the_message_counts_the_labels_and_a_reset_keeps_them():
    monitor = Monitor(LABELS, DriftDetector(3), minimum=30)

    def message_after(stamps):
        for stamp in stamps:
            monitor.expect(Prediction(FrameKey(stamp, 'camera'), LABELS, np.log([0.1, 0.2, 0.7]),
                                      np.zeros(1, np.float32), 'digest'))
            monitor.confirm(Confirmation(FrameKey(stamp, 'camera'), {'wrench': 1.0}))
        return monitor_state(monitor, False, monitor.figures(), 'digest').message
    assert message_after(range(1)) == 'not enough confirmed labels yet (1)'
    assert message_after(range(1, 38)) == 'learning: 38 of 200 labels'
    monitor.reset()
    assert message_after(range(38, 68)) == 'learning: 68 of 200 labels'
    assert message_after(range(68, 200)) == 'in control'


def test_a_passage_whose_later_frames_contradict_its_answer_says_so_at_its_end():
    passage = Summary(number=3, began=1, reason='present', frames=9, counted=8, unlike=0, unfit=1,
                      contradictions=2)
    said = passage_state(News('ended', 7, 'absent', passage))
    assert said.message == 'passage 3 ended: absent; 2 later frames contradict its answer'
    assert (said.level, said.values['contradictions']) == (WARN, 2)
