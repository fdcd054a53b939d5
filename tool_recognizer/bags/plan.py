"""Which topics of a recording mean what: the camera, confirmations, and what opens the gate."""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass

from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.bag import BOOL
from tool_recognizer.bags.bag import CLASSIFICATION
from tool_recognizer.bags.bag import COMPRESSED_IMAGE
from tool_recognizer.bags.bag import IMAGE_TYPES
from tool_recognizer.bags.bag import STATUS
from tool_recognizer.bags.bag import STRING
from tool_recognizer.bags.bag import Topic

# The topic that says whether an object is there ends like this, or has a name of the plant's.
PRESENT = 'object_present'
# Pictures that the recognizer itself publishes are no camera's.
OWN_PICTURES = ('/annotated/compressed', '/inspection_request/compressed')


@dataclass(frozen=True)
class Plan:
    """
    Which topics of a recording are used.

    Attributes
    ----------
    frames : the camera
    compressed : whether its frames are compressed
    confirmed : confirmations, vision_msgs/Classification, or diagnostic_msgs/DiagnosticStatus as
        the console sends them
    requests : inspection requests, vision_msgs/Classification
    shown : the topic that names the tool that is shown, std_msgs/String; '' if there is none
    predictions : those of the live recognizer, to compare with
    notes : choices that the user may want to know of
    present : says whether an object is before the camera, std_msgs/Bool; '' without that gate

    """

    frames: str
    compressed: bool
    confirmed: tuple[str, ...]
    requests: tuple[str, ...]
    shown: str
    predictions: tuple[str, ...]
    notes: tuple[str, ...] = ()
    present: str = ''

    @property
    def topics(self) -> frozenset[str]:
        """All that are read in the order of the recording; requests are read before."""
        return frozenset({self.frames, *self.confirmed, *self.predictions,
                          *(name for name in (self.shown, self.present) if name)})


def choose(topics: Mapping[str, Topic], *, image_topic: str = '', labels_topic: str = '',
           present_topic: str = '', transport: str = 'raw', option: str = '--image-topic',
           gate: str = 'off') -> Plan:
    """
    Choose the topics by their types, where they are not named.

    Parameters
    ----------
    topics : of all bags
    image_topic, labels_topic : as named by the user; '': to be found
    present_topic : the same of what says whether an object is there
    transport : 'raw' or 'compressed', where one camera was recorded both ways
    option : by which the user names the camera
    gate : what opens passages, see the parameter ``passage.gate``

    Raises
    ------
    BagError
        There is no such topic, or there are several, or its type is another one.

    """
    notes = []
    images = {name: topic for name, topic in topics.items()
              if topic.kind in IMAGE_TYPES and not name.endswith(OWN_PICTURES)}
    if image_topic and image_topic not in topics:
        raise BagError(f'no topic {image_topic!r}; image topics: {_listed(images)}')
    if image_topic and topics[image_topic].kind not in IMAGE_TYPES:
        raise BagError(f'{image_topic} is of type {topics[image_topic].kind}, no picture; image '
                       f'topics: {_listed(images)}')
    if not image_topic:
        if not images:
            raise BagError('no image topic (sensor_msgs/msg/Image or CompressedImage); topics: '
                           f'{_listed(topics)}')
        cameras = {name.removesuffix('/compressed') for name in images}
        if len(cameras) > 1:
            raise BagError(f'{len(images)} image topics, name one with {option}: '
                           f'{_listed(images)}')
        image_topic = next(iter(images))
        if len(images) > 1:
            camera = cameras.pop()
            image_topic = f'{camera}/compressed' if transport == 'compressed' else camera
            notes.append(f'{camera} was recorded raw and compressed; {image_topic} is used, as '
                         f'image_transport says ({transport})')

    def ending(kind: str, *ends: str) -> tuple[str, ...]:
        return tuple(name for name, topic in topics.items()
                     if topic.kind == kind and name.endswith(ends))

    confirmed = (*ending(CLASSIFICATION, '/confirmed_label'), *ending(STATUS, '/confirmation'))
    shown = ''
    if labels_topic:
        kind = topics[labels_topic].kind if labels_topic in topics else ''
        if kind not in (CLASSIFICATION, STRING):
            labels = [n for n, t in topics.items() if t.kind in (CLASSIFICATION, STRING)]
            raise BagError(f'{labels_topic} ' + (f'is of type {kind}' if kind else 'is not there')
                           + f'; topics that can hold labels: {_listed(labels)}')
        confirmed, shown = ((labels_topic,), '') if kind == CLASSIFICATION else ((), labels_topic)
    if present_topic and gate != 'topic':
        raise BagError(f'passage.gate is {gate}, so that {present_topic} opens nothing; set it to '
                       'topic in --params-file, or leave --present-topic out')
    present = say_present(topics, present_topic) if gate == 'topic' else ['']
    if len(present) != 1:
        raise BagError(f'passage.gate is topic, and {len(present)} topics say whether an object '
                       f'is there (std_msgs/Bool, .../object_present): {_listed(present)}; name '
                       'one with --present-topic, or replay with passage.gate off in '
                       '--params-file')
    if gate == 'service':
        raise BagError('passage.gate is service, and no bag holds the calls of a service; replay '
                       'with passage.gate off in --params-file, or with another gate')
    return Plan(image_topic, topics[image_topic].kind == COMPRESSED_IMAGE, confirmed,
                ending(CLASSIFICATION, '/inspection_request'), shown,
                ending(CLASSIFICATION, '/classification'), tuple(notes), present[0])


def say_present(topics: Mapping[str, Topic], named: str) -> list[str]:
    """
    Find the topics that say whether an object is there.

    Parameters
    ----------
    topics : of the recording
    named : by the user; '': all of the usual name

    Raises
    ------
    BagError
        What the user names is no such topic.

    """
    able = [name for name, topic in topics.items() if topic.kind == BOOL]
    if named and named not in able:
        raise BagError(f'{named} is no topic of type std_msgs/Bool; there are: {_listed(able)}')
    return [named] if named else [name for name in able if name.endswith(f'/{PRESENT}')]


def _listed(names: Iterable[str]) -> str:
    return ', '.join(names) or 'none'
