"""What is wrong between the camera and the node: publishers, types and QoS of topics."""

from collections.abc import Iterator

from tool_recognizer.diagnosis.facts import End
from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import PACKED
from tool_recognizer.diagnosis.facts import Recognizer
from tool_recognizer.diagnosis.facts import Topic
from tool_recognizer.diagnosis.finding import Commands
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Severity


def publishers(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find a camera that is not there, is of another type, or is one of several."""
    if not facts.camera:
        return
    kind = facts.camera_kind
    topic = facts.topics.get(facts.camera, Topic(facts.camera))
    right = [end for end in topic.publishers if end.kind == kind]
    for end in topic.publishers:
        if end.kind != kind:
            yield Finding(
                Severity.ERROR if not right else Severity.WARNING, 'wrong_type',
                f'{end.node} publishes {topic.name} as {end.kind}, the recognizer listens for '
                f'{kind}', f'remap image_raw to a topic of {kind}: '
                '--ros-args -r image_raw:=TOPIC')
    if not right:
        nobody = _nobody(facts, commands)
        if nobody.code != 'no_camera' or not topic.publishers:
            yield nobody
    if len(right) > 1:
        yield Finding(
            Severity.WARNING, 'two_cameras',
            f'{topic.name} has {len(right)} publishers, {" and ".join(e.node for e in right)}: '
            'their frames are answered as those of one camera',
            'end one of them, or remap image_raw to the one that is meant')


def _nobody(facts: Facts, commands: Commands) -> Finding:
    packed = facts.camera_kind == PACKED
    base = facts.camera.removesuffix('/compressed')
    other = facts.topics.get(base if packed else f'{base}/compressed')
    if other is not None and other.publishers:
        transport = 'raw' if packed else 'compressed'
        return Finding(
            Severity.ERROR, f'only_{transport}', f'nobody publishes {facts.camera}, but '
            f'{other.name} is there', commands.reconfigured('image_transport', transport))
    return Finding(
        Severity.ERROR, 'no_camera', f'nobody publishes {facts.camera}',
        f'start the camera, as with {commands.prefix} camera --source FOLDER; or remap the topic '
        'of yours: --ros-args -r image_raw:=TOPIC (bringup.launch.py: image_topic:=TOPIC)')


def qos(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find ends of a topic that do not match."""
    for topic in facts.topics.values():
        for publisher in topic.publishers:
            for listener in topic.subscribers:
                if node.name in (publisher.node, listener.node):
                    yield from _mismatch(facts, node, topic.name, publisher, listener)


def _mismatch(facts: Facts, node: Recognizer, topic: str, publisher: End, listener: End
              ) -> Iterator[Finding]:
    if publisher.kind != listener.kind:
        return
    ours = topic == facts.camera and listener.node == node.name
    for policy, asked, offered, less, more in (
            ('reliability', listener.reliable, publisher.reliable, 'best_effort', 'reliable'),
            ('durability', listener.latched, publisher.latched, 'volatile', 'transient_local')):
        if asked and not offered:
            cure = (f'start the recognizer with --ros-args -p '
                    f'qos_overrides.{topic}.subscription.{policy}:={less}'
                    if ours and policy == 'reliability' else
                    f'let {listener.node} ask for {policy} {less}, or {publisher.node} offer '
                    f'{more}')
            yield Finding(
                Severity.ERROR if ours or listener.node == node.name else Severity.WARNING,
                f'qos_{policy}',
                f'{topic}: {listener.node} asks for {policy} {more}, {publisher.node} offers '
                f'{less}, so that nothing arrives', cure)
