"""
What of a camera's frame the network is shown: the region, and in it the object's surroundings.

A part of a frame is a frame: everything that takes one takes the part as well. The live node and
a replay come through ``look``, so that they see the same; so does ``evaluate``, without a region.
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any
from typing import NamedTuple

from tool_recognizer.core.decision import SEVERAL_TOOLS
from tool_recognizer.core.empty_place import Glance
from tool_recognizer.core.empty_place import glance
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.locate import Box
from tool_recognizer.core.locate import find
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.quality import fault
from tool_recognizer.core.quality import QualityThresholds
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.region import Region

# What is left around the object, as a part of its longer side: the network was fitted on
# photographs that show some ground.
MARGIN = 0.1
# Larger than any camera, so that a JPEG is decoded at its full size.
FULL_SIZE = InputSpec(1 << 20, 1 << 20)


class View(NamedTuple):
    """
    How a frame is looked at; see the parameters of the same names.

    Attributes
    ----------
    region : the part of the frame
    locate : 'off'; 'auto': show the network the object alone, where it is small and stands out;
        'ground': the same, where the empty place is known by what differs from it
    single : whether a frame with several objects gets no label
    glances : whether the region is looked at from afar, too, for the gate 'picture'

    """

    region: Region = Region()
    locate: str = 'off'
    single: bool = False
    glances: bool = False

    @classmethod
    def of(cls, parameter: Callable[[str], Any]) -> 'View':
        """
        Take it from the parameters; ``parameter`` returns the value of a name.

        Raises
        ------
        ValueError
            The region is empty or not inside the frame.

        """
        return cls(Region(*(parameter(f'region.{name}') for name in Region.__match_args__)),
                   parameter('locate.mode'), parameter('locate.single'),
                   parameter('passage.gate') == 'picture')

    def reading(self, spec: InputSpec) -> InputSpec:
        """
        Tell for which input a frame is to be decoded.

        Parameters
        ----------
        spec : what the network takes

        Returns
        -------
        That, or more: what is cut out of a frame must still have the pixels that the network takes

        """
        if self.locate != 'off':
            return FULL_SIZE
        spec = spec.before(self.region.rotation)
        return replace(spec, height=ceil(spec.height / self.region.height),
                       width=ceil(spec.width / self.region.width))


# The whole frame as it is.
WHOLE = View()


class Seen(NamedTuple):
    """
    What is looked at of a frame.

    Attributes
    ----------
    frame : the part that the network is shown; its pixels are a view
    box : around the object, in the pixels of the whole frame; None if it was not looked for, does
        not stand out, or fills the region anyway
    objects : how many there are of about its size; 0 without a box
    glance : of the region from afar, if it is wanted

    """

    frame: Frame
    box: Box | None
    objects: int
    glance: Glance | None = None

    def located(self, prediction: Prediction) -> Prediction:
        """Say with a prediction for it where the object is."""
        return prediction if self.box is None else replace(prediction, box=self.box)

    def unfit(self, image: Pixels, view: View, thresholds: QualityThresholds | None
              ) -> str | None:
        """
        Say why no label can be given.

        Parameters
        ----------
        image : the part as the network takes it
        view : how the frame is looked at
        thresholds : of the model's quality

        Returns
        -------
        A reserved id, or None

        """
        if view.single and self.objects > 1:
            return SEVERAL_TOOLS
        return fault(image, thresholds)


def look(frame: Frame, view: View, ground: KnownGround | None = None) -> Seen:
    """
    Choose what of a frame the network is shown.

    Parameters
    ----------
    frame : of the camera
    view : how it is looked at
    ground : for ``locate`` 'ground', of the same camera and region; None: as with 'auto'

    Raises
    ------
    ValueError
        The object is to be found, and the pixels cannot be read (see ``fit_image``).

    """
    if view == WHOLE:
        return Seen(frame, None, 0)
    left, top, *_ = view.region.edges(*frame.pixels.shape[:2])
    part = replace(frame, pixels=view.region.of(frame.pixels), rotation=view.region.rotation)
    found = None if view.locate == 'off' else (
        find if ground is None else ground.find)(part.pixels, part.order)
    afar = glance(part.pixels) if view.glances else None
    if found is None:
        return Seen(part, None, 0, afar)
    box, (height, width) = found.box, part.pixels.shape[:2]
    margin = round(MARGIN * max(box.right - box.left, box.bottom - box.top))
    shown = part.pixels[max(0, box.top - margin):min(height, box.bottom + margin),
                        max(0, box.left - margin):min(width, box.right + margin)]
    return Seen(replace(part, pixels=shown),
                Box(box.left + left, box.top + top, box.right + left, box.bottom + top),
                found.objects, afar)
