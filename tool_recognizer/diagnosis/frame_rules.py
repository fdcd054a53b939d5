"""What is wrong with the frames (lost, old, dropped, unfit to be recognized) and the clock."""

from collections.abc import Iterator

from tool_recognizer.core.decision import BLURRED
from tool_recognizer.core.decision import DARK
from tool_recognizer.core.decision import FROZEN
from tool_recognizer.core.decision import NO_FRAME
from tool_recognizer.core.decision import OVEREXPOSED
from tool_recognizer.core.refusals import CURES
from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import OK
from tool_recognizer.diagnosis.facts import Recognizer
from tool_recognizer.diagnosis.finding import Commands
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Severity

# Shares of the frames that may be lost, refused, and unfit.
LOST, REFUSED, UNFIT = 0.1, 0.01, 0.2
# Fewer frames than these say nothing of a share.
FEWEST = 5
# Seconds that a stamp may be off, and bytes that go through shared memory without our profile.
OLD, LARGE = 10.0, 500_000

# Why a frame gets no answer, where the node's own words say no more.
REASONS = {
    'busy': ('frames are passed over because the model is still at work on an earlier one',
             'none is needed if the answers are fast enough; otherwise lower the rate of the '
             'camera, or take a smaller model'),
    'encoding': ('frames have an encoding that is not read', 'remap image_raw to a colour camera, '
                 'or let its driver publish rgb8 or bgr8, or JPEG'),
    'corrupt': ('frames are damaged', 'see what the camera writes, or send raw frames: '
                'image_transport raw'),
    'empty': ('frames hold no data', "look into the log of the camera's driver"),
    'too_large': ('frames are larger than camera.max_pixels',
                  'lower the resolution of the camera, or raise camera.max_pixels'),
    'frame_id': ('frames have a frame_id of more than 256 characters',
                 "set the camera's frame_id in its driver"),
    'step': ('frames have rows shorter than their width',
             'the driver fills in step wrongly: mend or update it'),
    'size': ('frames hold less data than their size asks for',
             'the driver fills in height, width or step wrongly: mend or update it'),
    'non_finite': ('the model answers with numbers that are not finite',
                   'see the model with: model check'),
    'error': ('frames make the recognizer fail', 'its log says more')}
UNFIT_FOR = {
    DARK: 'too dark', OVEREXPOSED: 'overexposed', BLURRED: 'blurred',
    FROZEN: 'one and the same picture'}


def arrival(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find frames that do not arrive, or arrive late or with stamps that are wrong."""
    frames = facts.frames
    topic = facts.topics.get(facts.camera)
    if not facts.camera or topic is None or not topic.publishers:
        return
    right = [end for end in topic.publishers if end.kind == facts.camera_kind]
    if right and not frames.heard and node.counted('received') == 0:
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
    profile = node.said('inference', 'fast_dds_profile')
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


def drops(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find the reasons for which frames get no decision."""
    after = node.statuses.get('input')
    if after is None or node.state != 'active' or node.said('input', 'enabled') == 'False':
        return
    came = node.counted('received')
    for name in after.values:
        reason = name.removeprefix('dropped_')
        if name == reason or reason == 'disabled':
            continue
        dropped = node.counted(name)
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


def sim_time(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find a clock that does not go on."""
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


def gate(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find a gate that lets no passages begin, or wrong ones."""
    status = node.statuses.get('passages')
    if status is not None and status.level != OK:
        what, _, cure = status.message.partition(': ')
        yield Finding(Severity.WARNING, 'gate', what, cure)


def decisions(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find pictures that nobody could recognize, and a camera that is slower than the deadline."""
    total = sum(node.decisions.values())
    if total < FEWEST or node.state != 'active':
        return
    for decision, words in UNFIT_FOR.items():
        share = node.decisions.get(decision, 0) / total
        if share > UNFIT:
            yield Finding(Severity.WARNING, decision.partition(':')[2],
                          f'{share:.0%} of the frames are {words}', CURES[decision])
    deadline = float(str(node.parameters.get('decision.deadline', 0.0)))
    stale = node.decisions.get(NO_FRAME, 0)
    if 0 < stale < total and 0.0 < facts.frames.rate < 1.0 / max(deadline, 1e-9):
        yield Finding(
            Severity.WARNING, 'slow_camera', f'the camera sends {facts.frames.rate:.2g} frames a '
            f'second, and after {deadline:g} s without one the decision is stale:no_frame',
            'raise its rate, or '
            + commands('set', 'decision.deadline', f'{max(2.5 / facts.frames.rate, 0.1):.1f}'))


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
