"""What the console asks of the recognizer, and how it is told what became of that."""

from collections.abc import Mapping
from typing import NamedTuple
from typing import Protocol

# Why there is no response, by which a page says it in its own language: nobody is there to be
# asked, so nothing was done; or who was asked has not responded, and nobody knows what was done.
ABSENT, LOST = 'absent', 'lost'


class Respond(Protocol):
    """Takes in what became of an action, in any thread."""

    def __call__(self, success: bool, text: str, reason: str = '',
                 named: Mapping[str, str] = {}, /) -> None:
        """
        Take it in.

        Parameters
        ----------
        success : whether it was done
        text : what there is to say about it, in English
        reason : by which a page says it in its own language; '' if the text is all there is
        named : what goes into that page's text

        """


class Action(NamedTuple):
    """
    What the recognizer is to do.

    Attributes
    ----------
    name : one of ``schema.ACTIONS``, 'set_region' or 'set_parameters'
    respond : gets its response, once, in ROS's thread
    values : of the parameters that it is to set, by their names; all of them, or none

    """

    name: str
    respond: Respond
    values: Mapping[str, float | str] = {}
