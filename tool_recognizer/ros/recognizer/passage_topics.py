"""
The topics of passages: one answer for each object, and what opens the gate for it.

``~/object`` and ``~/object_decision`` have a passage's answer, once; ``~/passage`` tells of its
begin and its end. ``~/object_present`` opens the gate if ``passage.gate`` is 'topic', the service
``~/answer_now`` if it is 'service'. The camera's thread and a timer tell of passages, the
executor's thread hears of objects: the engine's lock is held until what happened is told, so that
it is told in its order.
"""

from collections.abc import Callable
from collections.abc import Sequence
from contextlib import suppress
import json
from time import monotonic
from time import time_ns
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from tool_recognizer.core.gate import JUMP
from tool_recognizer.core.passage import News
from tool_recognizer.core.passage import Verdict
from tool_recognizer.core.recognition import NO_FEATURES
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.text import Said
from tool_recognizer.engine import Engine
from tool_recognizer.ros import to_ros
from tool_recognizer.ros.recognizer.entities import Entities
from vision_msgs.msg import Classification

# Every change of the gate counts.
DEEP = QoSProfile(depth=1000)
# Seconds between two looks at the gate beside those of the frames.
LOOK = 0.05
# Two threads that read two clocks may differ by so much, ns.
APART = 20_000_000
# Confirmed passages of which the likeliest correlation means anything.
ENOUGH = 100


class AnswerNow:
    """
    The service ``~/answer_now``: it is there as long as the node, so that each caller is answered.

    Parameters
    ----------
    node : that has it
    call : begins a passage; returns why it does not, or ''

    """

    def __init__(self, node: Node, call: Callable[[], str]) -> None:
        self._node, self._call = node, call
        self._waiting: Future | None = None
        node.create_service(Trigger, '~/answer_now', self._answer, qos_profile=DEEP,
                            callback_group=ReentrantCallbackGroup())

    def resolve(self, success: bool, message: str) -> None:
        """Answer who waits, if somebody does; from any thread."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        waiting.set_result((success, message))
        executor = self._node.executor
        if executor is not None:
            with suppress(InvalidHandle):  # the node ends
                executor.wake()  # an awaiting callback is only looked at when something happens

    async def _answer(self, request: Any, response: Any) -> Any:
        if self._waiting is not None:
            return to_ros.answered(response, False, 'another call waits for its answer: call '
                                   'again when that is done')
        self._waiting = Future(executor=self._node.executor)
        try:
            why = self._call()
            if why:
                return to_ros.answered(response, False, why)
            return to_ros.answered(response, *await self._waiting)
        finally:
            self._waiting = None


class PassageTopics:
    """
    See the module; made only with a gate.

    Parameters
    ----------
    node : whose clock counts
    entities : with which the topics end
    results : QoS of what passes
    kind : the gate, as the parameter has it
    engine : returns the one in charge
    answers : who asked to be answered now
    heard_until : returns a moment before which no frame came that is still to be answered, on the
        steady clock in s; a passage does not end without the frames that it had by then
    deadline : returns for how long a frame may be in work, s; after that it counts for nothing,
        and no passage waits for it

    """

    def __init__(self, node: Node, entities: Entities, results: QoSProfile, kind: str,
                 engine: Callable[[], Engine | None], answers: AnswerNow,
                 heard_until: Callable[[], float], deadline: Callable[[], float]) -> None:
        self._node, self._clock, self._engine = node, node.get_clock(), engine
        self._answers, self._heard_until, self._deadline = answers, heard_until, deadline
        self._name = f'{node.get_fully_qualified_name().strip("/")}: passage'
        self._object = entities.publisher(Classification, '~/object', results)
        self._decision = entities.publisher(Classification, '~/object_decision', results)
        self._passage = entities.publisher(DiagnosticStatus, '~/passage', results)
        self._kind, self.gate_topic = kind, ''

    def listen(self, entities: Entities) -> None:
        """Hear of objects from now on; entities : with which that ends."""
        if self._kind == 'topic':
            subscription = entities.subscription(Bool, '~/object_present', self._on_present, DEEP)
            self.gate_topic = subscription.topic_name
        entities.timer(LOOK, self._on_look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def stop(self, engine: Engine) -> None:
        """End the passage that is under way: nothing is heard of its object any more."""
        with engine.lock:
            now = self._now()
            self.publish(engine, engine.interrupt(now, 'deactivated'))
            self._answers.resolve(False, 'the node was deactivated meanwhile')
            if engine.gating is not None:
                engine.gating.gate.rest(now)

    def publish(self, engine: Engine, news: Sequence[News]) -> None:
        """Tell what has happened to passages, in its order; who calls holds the engine's lock."""
        for one in news:
            if one.verdict is not None:
                self._publish_answer(engine, one.verdict)
            self._passage.publish(to_ros.passage_status(self._name, one))
        for one in news:
            # A passage from before the start is not what was called for.
            if one.verdict is not None and one.reason != 'restart':
                self._answers.resolve(*_answer(engine, one.verdict))

    def replace(self, before: Engine, engine: Engine) -> None:
        """Let another engine go on with the gate; a passage does not go on with another model."""
        with before.lock:
            self.publish(before, before.interrupt(self._now(), 'reload'))
            # A frame that is in work still: none begins with the engine that goes.
            engine.gating, before.gating = before.gating, None

    def status(self, engine: Engine) -> DiagnosticStatus:
        """Say how the passages are, and what is wrong with the gate."""
        publishers = (self._node.get_publishers_info_by_topic(self.gate_topic)
                      if self.gate_topic else [])
        names = sorted(f'{about.node_namespace.rstrip("/")}/{about.node_name}'
                       for about in publishers)
        return to_ros.passages_status(f'{self._name}s', engine, self._trouble(engine, names))

    def _trouble(self, engine: Engine, names: list[str]) -> list[Said]:
        assert engine.gating is not None
        gate, topic = engine.gating.gate, self.gate_topic
        found = []
        if topic and not names:
            found.append(Said(f'nobody publishes {topic} (std_msgs/Bool): start what sees the '
                              'object, or remap it', 'gate_no_publisher'))
        elif topic and gate.heard_at is None:
            found.append(Said(f'{topic} has a publisher, but nothing came from it: see that it '
                              'says true and false, and that its QoS is reliable',
                              'gate_silent'))
        if engine.gating.kind == 'picture' and not engine.gating.place.is_known:
            found.append(Said(
                'the empty place is not known yet: leave it empty for a second; the model must '
                'take it for none of its labels' + (
                    '' if engine.model.novelty_threshold < float('inf') else
                    ', which this model never does: take passage.gate topic'), 'gate_unlearned'))
        if len(names) > 1:
            found.append(Said(f'{topic} has {len(names)} publishers, {" and ".join(names)}: '
                              'passages begin and end with the word of either; leave one of them',
                              'gate_rivals'))
        if gate.stuck:
            found.append(Said(f'{topic or "the gate"} says for longer than passage.max_seconds '
                              f'({gate.longest / 1e9:g} s) that an object is there: no passage '
                              'begins before it says that nothing is; see to what it sees, or '
                              'lengthen passage.max_seconds', 'gate_stale'))
        if gate.lost:
            found.append(Said(f'{gate.lost} changes of {topic} came faster than frames do, and '
                              'are lost: see whether it chatters', 'gate_chatters'))
        last = None if engine.run.passages is None else engine.run.passages.last
        if last is not None and last.count == 0:
            found.append(Said('the last passage had no frame that counts: see that frames come '
                              'while the object is there, that they are fit for a decision, and '
                              "that the camera's clock is this machine's", 'gate_empty'))
        return found + _too_sure(engine)

    def _now(self) -> int:
        return int(self._clock.now().nanoseconds)

    def _settled(self) -> int:
        """Return until when it is known of which passage each frame is, ns."""
        now, steady = self._now(), monotonic()
        behind = min(max(0.0, steady - self._heard_until()), self._deadline())
        return now - int(behind * 1e9) - APART

    def _publish_answer(self, engine: Engine, verdict: Verdict) -> None:
        # Controllers wait for the decision.
        self._decision.publish(to_ros.decision(to_ros.header(verdict.key), verdict.decision))
        prediction = _prediction(engine, verdict)
        if prediction is not None:
            self._object.publish(to_ros.classification(prediction))

    def _on_present(self, message: Any, about: Any) -> None:
        engine = self._engine()
        if engine is not None:
            # When it came: other callbacks may have had their turn first. By more than that the
            # system's clock was set, or the middleware does not say it.
            waited = time_ns() - about['received_timestamp']
            engine.present(bool(message.data), self._now() - (waited if 0 < waited < JUMP else 0))

    def _on_look(self) -> None:
        engine = self._engine()
        if engine is None:
            return
        with engine.lock:  # no frame is answered meanwhile
            self.publish(engine, engine.advance(self._settled()))
            if engine.gating is not None and engine.gating.is_idle:
                self._answers.resolve(False, 'the clock went back before the passage began: call '
                                      'again')


def _too_sure(engine: Engine) -> list[Said]:
    """Say that frames are taken for worth more than the confirmed passages show, if they are."""
    assert engine.run.passages is not None
    fit, in_use = engine.run.passages.fit(), engine.run.passages.rules.correlation
    if fit.passages < ENOUGH or in_use >= fit.low:
        return []
    return [Said(f'answers are surer than they should be: with passage.correlation {in_use:g} the '
                 f'labels of {fit.passages} confirmed passages cost {fit.nll_in_use:.3f} nats, '
                 f'with {fit.correlation:.2f} ({fit.low:.2f} to {fit.high:.2f}) {fit.nll:.3f}: '
                 'set it, and configure the node anew', 'gate_too_sure')]


def _prediction(engine: Engine, verdict: Verdict) -> Prediction | None:
    log_p = verdict.log_probabilities
    return None if log_p is None else Prediction(
        verdict.key, engine.model.labels, log_p, NO_FEATURES, engine.model.digest)


def _answer(engine: Engine, verdict: Verdict) -> tuple[bool, str]:
    """Write an answer for who asked for it: whether it is a label, and all of it as JSON."""
    made, prediction = verdict.decision, _prediction(engine, verdict)
    probabilities = {} if prediction is None else dict(zip(
        prediction.labels, prediction.probabilities.tolist(), strict=True))
    return ':' not in made.class_id, json.dumps({
        'decision': made.class_id, 'score': made.score, 'stamp': str(verdict.key.stamp),
        'frame_id': verdict.key.frame_id, 'frames': verdict.frames,
        'probabilities': probabilities})
