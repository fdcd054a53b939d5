"""Why nothing is happening, if nothing is, and what makes the answers doubtful."""

from diagnostic_msgs.msg import DiagnosticStatus
from tool_recognizer.core.health import InputHealth
from tool_recognizer.core.stamps import StampWatch
from tool_recognizer.core.text import Said
from tool_recognizer.ros.guard import ERRORS
from tool_recognizer.ros.recognizer.camera_topic import CameraTopic

# Seconds without a frame after which the camera is spoken of first.
PAUSE = 3.0


def input_state(camera: CameraTopic, health: InputHealth, stamps: StampWatch, *, active: bool,
                enabled: bool, silence: tuple[Said, float] | None, doubt: Said
                ) -> tuple[bytes, list[Said]]:
    """
    Say it, the gravest first.

    Parameters
    ----------
    camera, health, stamps : what they know
    active, enabled : whether the node listens, and is not paused
    silence : why no frame was answered in time, and seconds since the last one came; None if one
        was
    doubt : what makes the answers doubtful, by whoever gives them

    """
    if not active:
        return DiagnosticStatus.WARN, [Said('not active: activate the node', 'inactive')]
    if not enabled:
        return DiagnosticStatus.WARN, [Said('paused: call ~/enable with data: true', 'paused')]
    if silence is not None:
        return DiagnosticStatus.ERROR, _silence(camera, *silence)
    doubts = [one for one in (camera.rivals(), health.refusals(), stamps.trouble(),
                              doubt, ERRORS.trouble()) if one]
    if doubts:
        doubts[0] = Said(f'answering, but {doubts[0]}', doubts[0].code)
        return DiagnosticStatus.WARN, doubts
    return DiagnosticStatus.OK, [Said('answering', 'answering')]


def _silence(camera: CameraTopic, said: Said, since: float) -> list[Said]:
    if said and since < PAUSE:
        return [said]
    trouble = camera.trouble()
    return [trouble] if not said else [
        trouble, Said(f'the last one came {since:.0f} s ago, and {said}', said.code)]
