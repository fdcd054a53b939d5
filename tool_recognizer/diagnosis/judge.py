"""
From facts to findings, the worst first.

Each finding says in one sentence what is wrong, and gives the command or the argument that mends
it. Rules that only make sense when another one has nothing to say ask for that.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum

from tool_recognizer.diagnosis.facts import End
from tool_recognizer.diagnosis.facts import ERROR
from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import OK
from tool_recognizer.diagnosis.facts import Recognizer
from tool_recognizer.diagnosis.facts import STALE
from tool_recognizer.diagnosis.facts import Topic
from tool_recognizer.diagnosis.facts import WARN

RAW, PACKED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
DEFAULT_NODE = '/tool_recognizer'
# Shares of the decisions from which one is told of, and of the frames that may be lost or refused.
UNFIT, LOST, REFUSED = 0.2, 0.1, 0.01
# Fewer frames than these say nothing of a share.
FEWEST = 5
# Seconds that a stamp may be off, and bytes that go through shared memory without our profile.
OLD, LARGE = 10.0, 500_000

# Why a frame gets no answer, where the node's own words say no more.
REASONS = {
    'busy': ('frames are passed over because the model is still at work on an earlier one',
             'none is needed if the answers are fast enough; otherwise lower the rate of the '
             'camera, or take a smaller model'),
    'encoding': ('frames have an encoding that is no picture', 'remap image_raw to a colour '
                 'camera, or let its driver publish rgb8 or bgr8'),
    'corrupt': ('frames are damaged', 'see what the camera writes, or send raw frames: '
                'image_transport raw'),
    'empty': ('frames hold no data', "look into the log of the camera's driver"),
    'step': ('frames have rows shorter than their width',
             'the driver fills in step wrongly: mend or update it'),
    'size': ('frames hold less data than their size asks for',
             'the driver fills in height, width or step wrongly: mend or update it'),
    'non_finite': ('the model answers with numbers that are not finite',
                   'see the model with: model check'),
    'error': ('frames make the recognizer fail', 'its log says more')}
UNFIT_FOR = {
    'unknown:dark': ('too dark', 'see to the light, and to the exposure time of the camera'),
    'unknown:overexposed': ('overexposed', 'shorten the exposure time, or screen the light off'),
    'unknown:blurred': ('blurred', 'focus and clean the lens, and shorten the exposure time'),
    'unknown:frozen': ('one and the same picture', 'the camera delivers its last picture again '
                       'and again: start its driver anew')}


class Severity(IntEnum):
    """How bad a finding is; a note is no fault."""

    ERROR = 0
    WARNING = 1
    NOTE = 2


@dataclass(frozen=True)
class Finding:
    """
    What is wrong, and what mends it.

    Attributes
    ----------
    severity : how bad
    code : one word, the same for ever, for scripts
    what : one sentence
    cure : a command or what to do

    """

    severity: Severity
    code: str
    what: str
    cure: str


@dataclass(frozen=True)
class Commands:
    """The commands of this package as their reader has to type them, for one node."""

    prefix: str
    node: str

    def __call__(self, *words: str) -> str:
        """Write one of them."""
        target = [] if self.node == DEFAULT_NODE else ['--node', self.node]
        return ' '.join([self.prefix, *words, *target])

    def reconfigured(self, name: str, value: object) -> str:
        """Write how a parameter is changed that takes effect at configure."""
        return ' && '.join([self('call', 'deactivate'), self('call', 'cleanup'),
                            self('set', name, str(value)), self('call', 'configure'),
                            self('call', 'activate')])


Rule = Callable[[Facts, Recognizer, Commands], Iterator[Finding]]


def judge(facts: Facts, prefix: str = 'ros2 run tool_recognizer') -> list[Finding]:
    """
    Find what is wrong.

    Parameters
    ----------
    facts : what was seen
    prefix : with which a command of this package begins

    Returns
    -------
    The worst first; none, or notes alone, if nothing is wrong

    """
    if facts.node is None:
        findings = [*_missing(facts, prefix)]
    else:
        commands = Commands(prefix, facts.node.name)
        findings = [finding for rule in RULES for finding in rule(facts, facts.node, commands)]
    return sorted(findings, key=lambda finding: finding.severity)


def is_healthy(findings: list[Finding]) -> bool:
    """Tell whether nothing is wrong."""
    return all(finding.severity is Severity.NOTE for finding in findings)


# -- no such node ---------------------------------------------------------------------------------

def _missing(facts: Facts, prefix: str) -> Iterator[Finding]:
    here = facts.place.environment
    domain = here.get('ROS_DOMAIN_ID') or '0'
    heard = (f'{len(facts.nodes)} others are' if facts.nodes else 'nor is any other node')
    like = [*facts.recognizers] or get_close_matches(facts.wanted, facts.nodes, 3)
    space = facts.wanted.rpartition('/')[0]
    cure = (f'{prefix} recognizer --ros-args -p autostart:=true'
            + (f' -r __ns:={space}' if space else ''))
    if like:
        cure = f'{prefix} doctor --node {like[0]}'
    yield Finding(
        Severity.ERROR, 'no_node',
        f'no node {facts.wanted} is heard in domain {domain}, {heard}'
        + (f'; {" and ".join(like)} {"is" if len(like) == 1 else "are"} there' if like else ''),
        cure)
    # Of several that are set up alike, one is told.
    alike = {tuple(sorted(process.environment.items())): process
             for process in reversed(facts.place.processes)}
    for process in reversed(alike.values()):
        yield from _elsewhere(facts, process.number, process.environment)
    reach = here.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '').upper()
    if here.get('ROS_LOCALHOST_ONLY') == '1' or reach in ('LOCALHOST', 'OFF'):
        name = ('ROS_LOCALHOST_ONLY=1' if here.get('ROS_LOCALHOST_ONLY') == '1'
                else f'ROS_AUTOMATIC_DISCOVERY_RANGE={reach}')
        yield Finding(
            Severity.NOTE, 'discovery_range', f'with {name} nothing is heard of '
            + ('any other process' if reach == 'OFF' else 'other machines'),
            'if the recognizer is on another one: unset ROS_LOCALHOST_ONLY; '
            'export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET')
    elif not facts.nodes:
        yield Finding(
            Severity.NOTE, 'discovery', 'nothing at all is heard: the others may have another '
            'ROS_DOMAIN_ID, a narrower ROS_AUTOMATIC_DISCOVERY_RANGE, or another '
            'RMW_IMPLEMENTATION; or the network lets no multicast through',
            'printenv | grep -e ROS -e RMW in the shells of both, and set the same')


def _elsewhere(facts: Facts, number: int, theirs: Mapping[str, str]) -> Iterator[Finding]:
    here = facts.place.environment
    for name, code, default in (
            ('ROS_DOMAIN_ID', 'other_domain', '0'),
            ('RMW_IMPLEMENTATION', 'other_middleware', 'rmw_fastrtps_cpp')):
        its, ours = theirs.get(name) or default, here.get(name) or default
        if its != ours:
            yield Finding(
                Severity.ERROR, code,
                f'a recognizer runs on this machine (process {number}) with {name}={its}, '
                f'here it is {ours}: the two do not hear each other', f'export {name}={its}')
            return
    if (theirs.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or '').upper() == 'OFF':
        yield Finding(
            Severity.ERROR, 'other_range', f'a recognizer runs on this machine (process {number}) '
            'with ROS_AUTOMATIC_DISCOVERY_RANGE=OFF: nobody hears it',
            'start it with ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, or SUBNET')
    elif not facts.recognizers:
        yield Finding(
            Severity.ERROR, 'not_heard', f'a recognizer runs on this machine (process {number}), '
            'and is not heard: it is only just starting, or it is stopped or hangs',
            f'look again; if it is still so, look into its log, and end it: kill {number}')


# -- the node -------------------------------------------------------------------------------------

def _node(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    if node.count > 1:
        yield Finding(
            Severity.ERROR, 'same_name', f'{node.count} nodes are named {node.name}: services '
            'reach any of them, and their answers mix', 'end all but one, or start each with its '
            'own --ros-args -r __ns:=/NAME')
    if not node.state:
        yield Finding(
            Severity.ERROR, 'no_reply', f'{node.name} is in the graph, but answers no service: it '
            'hangs, or has just been killed', 'wait half a minute and look again; if it is still '
            'so, end it and start it anew')


def _state(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    refused = node.model or next((e for e in node.errors), '')
    if node.state == 'unconfigured':
        if refused:
            yield Finding(
                Severity.ERROR, 'model_refused', f'it cannot be configured: {refused}',
                f'set model_path to a model that can be used ({commands("set", "model_path")} '
                f'FILE), then {commands("call", "configure")} && {commands("call", "activate")}')
        yield Finding(
            Severity.ERROR, 'unconfigured', f'{node.name} is not configured: it has no model and '
            'answers nothing', f'{commands("call", "configure")} && '
            f'{commands("call", "activate")}; or start it with -p autostart:=true')
    elif node.state == 'inactive':
        yield Finding(Severity.ERROR, 'inactive', f'{node.name} is not active: it hears no camera',
                      commands('call', 'activate'))
    elif node.state == 'finalized':
        yield Finding(Severity.ERROR, 'finalized', f'{node.name} has been shut down',
                      'end it and start it anew')
    elif node.state == 'active' and _value(node, 'input', 'enabled') == 'False':
        yield Finding(Severity.ERROR, 'paused', 'it is paused: every frame is dropped',
                      commands('call', 'enable'))
    reload = _value(node, 'inference', 'refused')
    if reload:
        yield Finding(
            Severity.ERROR, 'model_refused', 'the last reload was refused, and the old model '
            f'stays: {reload}', f'mend that, then {commands("call", "reload_model")}')


def _versions(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    for package, ours in facts.place.versions.items():
        theirs = _value(node, 'inference', f'version_{package}')
        if theirs and ours and theirs != ours:
            yield Finding(Severity.WARNING, 'versions',
                          f'the node runs with {package} {theirs}, here it is {ours}',
                          'source the same environment in both shells, and start the node anew '
                          'after an update')


def _twice(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    others = [name for name in facts.recognizers if name != node.name]
    if others:
        yield Finding(Severity.NOTE, 'others', f'there are other recognizers: {", ".join(others)}',
                      f'{commands.prefix} doctor --node {others[0]}')


# -- the camera -----------------------------------------------------------------------------------

def _camera(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    if not facts.camera:
        return
    packed = facts.camera.endswith('/compressed')
    kind = PACKED if packed else RAW
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
        nobody = _nobody(facts, commands, packed)
        if nobody.code != 'no_camera' or not topic.publishers:
            yield nobody
    if len(right) > 1:
        yield Finding(
            Severity.WARNING, 'two_cameras',
            f'{topic.name} has {len(right)} publishers, {" and ".join(e.node for e in right)}: '
            'their frames are answered as those of one camera',
            'end one of them, or remap image_raw to the one that is meant')


def _nobody(facts: Facts, commands: Commands, packed: bool) -> Finding:
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


def _qos(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
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


def _frames(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    frames = facts.frames
    topic = facts.topics.get(facts.camera)
    if not facts.camera or topic is None or not topic.publishers:
        return
    kind = PACKED if facts.camera.endswith('/compressed') else RAW
    right = [end for end in topic.publishers if end.kind == kind]
    if right and not frames.heard and _count(node, 'received') == 0:
        yield Finding(
            Severity.ERROR, 'no_frames', f'{right[0].node} publishes {facts.camera}, but no '
            f'frame came in {facts.seconds:.0f} s', 'see that the camera is switched on and '
            "connected, and look into its driver's log")
    if frames.trouble:
        yield Finding(Severity.WARNING, 'stamps', *_split(frames.trouble))
    yield from _age(facts, node, commands)
    lost = frames.sent - frames.heard
    if frames.sent >= FEWEST and lost > LOST * frames.sent and len(right) == 1:
        large = frames.largest > LARGE and facts.place.middleware.startswith('rmw_fastrtps')
        yield Finding(
            Severity.WARNING, 'frames_lost', f'{lost} of {frames.sent} frames of '
            f'{frames.largest / 1e6:.1f} MB are lost on the way from {right[0].node}'
            + (': they do not fit through the shared memory of Fast DDS without our profile'
               if large else ''),
            f'start the camera with FASTRTPS_DEFAULT_PROFILES_FILE={facts.place.profile}'
            if large else 'lower the rate or the size of its frames, or send them compressed')
    profile = _value(node, 'inference', 'fast_dds_profile')
    if (frames.largest > LARGE and profile is not None
            and facts.place.middleware.startswith('rmw_fastrtps')
            and not profile.endswith('config/fastdds.xml')):
        yield Finding(
            Severity.WARNING, 'no_profile', 'the recognizer runs '
            + (f'with the profile {profile}' if profile else 'without our profile of Fast DDS')
            + f': of frames of {frames.largest / 1e6:.1f} MB many may be lost',
            f'start it with FASTRTPS_DEFAULT_PROFILES_FILE={facts.place.profile}')


def _age(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    age = facts.frames.age
    if age is None or facts.frames.trouble or abs(age) <= OLD:
        return
    limit = float(str(node.parameters.get('decision.max_frame_age', 0.0)))
    what = (f"the camera's stamps are {_span(age)} old" if age > 0.0 else
            f"the camera's stamps are {_span(-age)} ahead of this machine's clock")
    if facts.clock.ticks and node.parameters.get('use_sim_time') is False:
        yield Finding(Severity.WARNING, 'old_stamps', f'{what}, and /clock is published: a '
                      'simulation or a recording runs, and the node goes by another clock',
                      commands('set', 'use_sim_time', 'true'))
        return
    yield Finding(
        Severity.ERROR if 0.0 < limit < age else Severity.WARNING, 'old_stamps',
        what + (f', decision.max_frame_age is {limit:g} s: every decision is stale:no_frame'
                if 0.0 < limit < age else ''),
        "set the camera's and this machine's clock (chrony, ntp); a recording is played with "
        'its clock (ros2 bag play --clock) to a node with use_sim_time')


def _drops(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    after = node.statuses.get('input')
    if after is None or node.state != 'active' or _value(node, 'input', 'enabled') == 'False':
        return
    came = _count(node, 'received')
    for name in after.values:
        reason = name.removeprefix('dropped_')
        if name == reason or reason == 'disabled':
            continue
        dropped = _count(node, name)
        if not dropped or came <= 0 or dropped <= REFUSED * came:
            continue
        what, cure = REASONS.get(reason, (f'frames are dropped ({reason})', 'its log says more'))
        words = after.values.get(f'why_{reason}')
        if words:
            said, _, remedy = words.partition(': ')
            what, cure = f'{what}: {said}', remedy or cure
        severity = (Severity.NOTE if reason == 'busy' else
                    Severity.ERROR if dropped >= came else Severity.WARNING)
        yield Finding(severity, f'dropped_{reason}', f'{dropped} of {came} {what}', cure)
    if after.message.startswith('every answer is too late'):
        yield Finding(Severity.ERROR, 'too_late', *_split(after.message))


def _sim_time(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    if node.parameters.get('use_sim_time') is not True:
        return
    if not facts.clock.publishers:
        yield Finding(Severity.ERROR, 'no_clock', 'use_sim_time is set, but nobody publishes '
                      "/clock: the node's time stands still",
                      f'ros2 bag play --clock, or {commands("set", "use_sim_time", "false")}')
    elif not facts.clock.ticks:
        yield Finding(Severity.ERROR, 'clock_stands_still', 'use_sim_time is set, and /clock does '
                      'not go on: the simulation or the recording is paused, or has ended',
                      f'let it go on, or {commands("set", "use_sim_time", "false")}')


# -- what it decides and knows --------------------------------------------------------------------

def _decisions(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    total = sum(node.decisions.values())
    if total < FEWEST or node.state != 'active':
        return
    for decision, (words, cure) in UNFIT_FOR.items():
        share = node.decisions.get(decision, 0) / total
        if share > UNFIT:
            yield Finding(Severity.WARNING, decision.partition(':')[2],
                          f'{share:.0%} of the frames are {words}', cure)
    deadline = float(str(node.parameters.get('decision.deadline', 0.0)))
    stale = node.decisions.get('stale:no_frame', 0)
    if 0 < stale < total and 0.0 < facts.frames.rate < 1.0 / max(deadline, 1e-9):
        yield Finding(
            Severity.WARNING, 'slow_camera', f'the camera sends {facts.frames.rate:.2g} frames a '
            f'second, and after {deadline:g} s without one the decision is stale:no_frame',
            'raise its rate, or '
            + commands('set', 'decision.deadline', f'{max(2.5 / facts.frames.rate, 0.1):.1f}'))


def _journal(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    journal = node.statuses.get('journal')
    if journal is not None and journal.level != OK:
        yield Finding(Severity.ERROR, 'journal', f'the journal: {journal.message}',
                      f'see that {node.parameters.get("journal.path") or "journal.path"} can be '
                      'written and its disk has room; the node tries again by itself')


def _confirmations(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    monitor = node.statuses.get('monitor')
    if node.state != 'active' or monitor is None:
        return
    speakers = [end.node for name in ('confirmed_label', 'confirmation')
                for end in facts.topics.get(f'{node.name}/{name}', Topic('')).publishers]
    if monitor.level == STALE or (not speakers and monitor.level == WARN):
        yield Finding(
            Severity.WARNING, 'nobody_confirms',
            f'nobody confirms what is shown, so that nothing is known of the accuracy '
            f'({monitor.message})' if not speakers else
            f'{speakers[0]} is there, but no confirmation has come for too long',
            f'{commands.prefix} console' if not speakers else
            'see that operators are asked (inspection.probability above 0) and answer')
    if int(monitor.values.get('ambiguous') or 0):
        yield Finding(
            Severity.WARNING, 'ambiguous', f'{monitor.values["ambiguous"]} confirmations could be '
            "joined to no frame, because the camera's stamps stand still or are all 0",
            'let its driver put the time of each frame into header.stamp')
    invalid = _value(node, 'input', 'invalid_confirmations')
    if invalid not in (None, '0'):
        yield Finding(Severity.WARNING, 'invalid_confirmations',
                      f'{invalid} confirmations were no distribution over labels',
                      f'~/confirmation_ack says of each what is wrong: ros2 topic echo '
                      f'{node.name}/confirmation_ack')


def _alarms(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    monitor, early = node.statuses.get('monitor'), node.statuses.get('early warning')
    if monitor is not None and monitor.level == ERROR:
        yield Finding(
            Severity.ERROR, 'drift', monitor.message.replace('drift: ', 'drift alarm: ', 1),
            "look at its frames (console, engineer's page); then mend the camera or train anew, "
            f'and {commands("call", "reset_monitor")}')
    if early is not None and early.level != OK:
        yield Finding(Severity.WARNING, 'early_warning', f'early warning: {early.message}',
                      'look at the camera and what lies before it, and confirm some frames: only '
                      'they tell whether the answers are worse')


RULES: tuple[Rule, ...] = (
    _node, _state, _camera, _qos, _frames, _drops, _sim_time, _alarms, _journal, _decisions,
    _confirmations, _versions, _twice)


def _value(node: Recognizer, status: str, name: str) -> str | None:
    found = node.statuses.get(status)
    return None if found is None else found.values.get(name)


def _count(node: Recognizer, name: str) -> int:
    """Count what came while we looked, or if that is nothing, since the start."""
    after = int(_value(node, 'input', name) or 0)
    before = node.before.get('input')
    if before is None or int(_value(node, 'input', 'received') or 0) == int(
            before.values.get('received') or 0):
        return after
    return after - int(before.values.get(name) or 0)


def _split(words: str) -> tuple[str, str]:
    """Part what is wrong from what mends it."""
    what, mark, cure = words.rpartition('; ')
    if not mark:
        what, _, cure = words.partition(': ')
    return what, cure


def _span(seconds: float) -> str:
    for unit, length in (('days', 86_400.0), ('hours', 3600.0), ('minutes', 60.0)):
        if seconds >= 2 * length:
            return f'{seconds / length:.0f} {unit}'
    return f'{seconds:.0f} s'
