"""A shadow model: it answers the same frames as the model in charge, and decides nothing."""

from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import recognize
from tool_recognizer.model.onnx_model import OnnxModel


class ShadowModel:
    """
    See the module; ``core.comparison`` compares it with the model in charge.

    Parameters
    ----------
    model : the candidate

    Attributes
    ----------
    model : as given
    failed : frames that it could not answer

    """

    def __init__(self, model: OnnxModel) -> None:
        self.model = model
        self.failed = 0

    def predict(self, frame: Frame) -> Prediction | None:
        """Answer a frame; None, and counted, if it has no answer."""
        try:
            return recognize(frame, self.model)
        except Exception:  # whatever it is: the frame is answered by the model in charge
            self.failed += 1
            return None
