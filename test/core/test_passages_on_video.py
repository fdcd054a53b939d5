"""The tools of the drawn line in a poor light, as the default model sees them, and by frame."""

import numpy as np
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.passage import COUNTS
from tool_recognizer.core.passage import Passage
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.line import AssemblyLine

RULES = PassageRules()
# Nothing was chosen on these lines.
SEEDS, TOOLS, FRAMES_PER_TOOL, STEP, LIGHT = (601, 602), 40, 12, 2, 0.1


def passages(model, seed):
    """Show the tools of a line; yield the answers to each one's frames, and its label."""
    line, shown, label = AssemblyLine(seed, frames_per_tool=FRAMES_PER_TOOL), [], None
    for index in range(TOOLS * FRAMES_PER_TOOL):
        pixels, seen = line.frame(index, LIGHT)
        if seen is None and shown:
            yield shown[::STEP], model.labels.index(label)
            shown = []
        elif seen is not None:
            label = seen
            shown.append(recognize(Frame(FrameKey(Stamp(index), 'line'), pixels, 'rgb'), model)
                         if len(shown) % STEP == 0 else None)


def test_a_tool_is_known_better_than_its_frames_and_how_well_is_said_rightly():
    model = OnnxModel.load(DEFAULT_MODEL, intra_op_threads=1)
    frames, tools, truth_of_frames, truth = [], [], [], []
    for seed in SEEDS:
        for shown, label in passages(model, seed):
            passage = Passage(1, 0, 'present', model.labels)
            for prediction in shown:
                passage.take(prediction, COUNTS, RULES)
                frames.append(prediction.log_probabilities)
                truth_of_frames.append(label)
            verdict = passage.end(0, RULES)
            tools.append(verdict.log_probabilities)
            truth.append(label)
    (accuracy, nll), (tool_accuracy, tool_nll) = (
        (np.mean(np.argmax(log_p, axis=1) == y), -np.mean(np.array(log_p)[np.arange(len(y)), y]))
        for log_p, y in ((frames, truth_of_frames), (tools, truth)))
    assert len(tools) > 70
    assert len(frames) > 3 * len(tools)
    assert tool_accuracy > accuracy
    assert tool_nll < 0.9 * nll
    # In such a light the model is too sure of some lines, and adding frames up must not add to it.
    of_frames, of_tools = (expected_calibration_error(np.array(log_p), np.array(y))
                           for log_p, y in ((frames, truth_of_frames), (tools, truth)))
    assert of_tools < of_frames + 0.02
