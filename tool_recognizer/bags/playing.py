"""Which topics of a recording are played to a live recognizer, and onto which of its topics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.bag import IMAGE_TYPES
from tool_recognizer.bags.bag import Topic
from tool_recognizer.bags.plan import choose
from tool_recognizer.bags.plan import PRESENT
from tool_recognizer.bags.plan import say_present
from tool_recognizer.bags.recording import look

COMPRESSED = '/compressed'


@dataclass(frozen=True)
class Playing:
    """
    What is played: the camera, the confirmations and the gate, never recorded predictions.

    Attributes
    ----------
    camera : the recorded image topic
    transport : how it was recorded, 'raw' or 'compressed'
    frames : how many frames it holds
    topics : recorded topic to the live one
    present : of these, the recorded one that says whether an object is there; '' if none does
    notes : choices that the user may want to know of

    """

    camera: str
    transport: str
    frames: int
    topics: Mapping[str, str]
    present: str = ''
    notes: tuple[str, ...] = ()

    @property
    def awaited(self) -> list[str]:
        """Return the live topics to which a recognizer listens, whatever its parameters."""
        return [live for recorded, live in self.topics.items() if recorded != self.present]


def what_to_play(bag: Path, recognizer: str, image_topic: str, *, bag_topic: str = '',
                 present_topic: str = '', transport: str = '') -> Playing:
    """
    Choose what the recognizer listens to, also where it was recorded under other names.

    Parameters
    ----------
    bag : the recording
    recognizer : the live node's whole name
    image_topic : the live camera's raw topic, its whole name
    bag_topic : the recorded image topic; '': the one of that name, else the only camera
    present_topic : the recorded topic that says whether an object is there; '': the one of the
        live name, else the only one
    transport : 'raw' or 'compressed'; '': as recorded, and raw if it was recorded both ways

    Raises
    ------
    BagError
        The bag cannot be read, or what is asked for is not in it.

    """
    topics = look(bag).topics
    same = [name for name in (image_topic, image_topic + COMPRESSED)
            if name in topics and topics[name].kind in IMAGE_TYPES]
    if not bag_topic and same:
        bag_topic = same[-1] if transport == 'compressed' else same[0]
    try:
        plan = choose(topics, image_topic=bag_topic, transport=transport or 'raw',
                      option='bag_topic:=TOPIC')
        present, note = choose_present(topics, present_topic, 'present_topic:=TOPIC',
                                       f'{recognizer}/{PRESENT}')
    except BagError as error:
        raise BagError(f'{bag}: {error}') from None
    recorded = 'compressed' if plan.compressed else 'raw'
    if transport not in ('', recorded):
        raise BagError(f'{bag}: image_transport:={transport} is asked for, but {plan.frames} was '
                       f'recorded {recorded}: leave image_transport out, or name another topic '
                       'with bag_topic:=TOPIC')
    if not topics[plan.frames].count:
        raise BagError(f'{bag}: no frame on {plan.frames}')
    confirmations = {name: f'{recognizer}/{name.rpartition("/")[2]}'
                     for name in plan.confirmed}
    gate = {present: f'{recognizer}/{PRESENT}'} if present else {}
    return Playing(plan.frames, recorded, topics[plan.frames].count, {
        plan.frames: image_topic + (COMPRESSED if plan.compressed else ''), **confirmations,
        **gate}, present, (note,) if note else ())


def choose_present(topics: Mapping[str, Topic], named: str, option: str, live: str = ''
                   ) -> tuple[str, str]:
    """
    Choose the topic that says whether an object is there; a bag may do without.

    Parameters
    ----------
    topics : of the bag
    named : by the user; '': to be found
    option : by which the user names it
    live : the name that is taken of several

    Returns
    -------
    The topic, or ''; and why none was chosen of several, or ''

    Raises
    ------
    BagError
        What the user names is no such topic.

    """
    there = say_present(topics, named)
    if live in there:
        return live, ''
    if len(there) < 2:
        return ''.join(there), ''
    return '', (f'{len(there)} topics say whether an object is there, and none of them is played; '
                f'name one with {option}: {", ".join(there)}')
