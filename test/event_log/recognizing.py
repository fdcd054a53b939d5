"""What a frame is to an engine before anything is made of it, as the node finds it out."""

from tool_recognizer.core.answer import Recognized
from tool_recognizer.core.quality import fingerprint
from tool_recognizer.core.view import WHOLE


def recognized(engine, seen, view=WHOLE):
    prediction, image = engine.recognize(seen)
    return Recognized(prediction, seen.unfit(image, view, engine.model.quality),
                      fingerprint(image), seen.glance)
