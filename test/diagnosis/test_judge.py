"""What is found in facts: each finding by itself, with the command or argument that mends it."""

from dataclasses import replace
import re

import pytest
from tool_recognizer.__main__ import PROGRAMS
from tool_recognizer.diagnosis import table
from tool_recognizer.diagnosis.facts import Clock
from tool_recognizer.diagnosis.facts import End
from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import Frames
from tool_recognizer.diagnosis.facts import PACKED
from tool_recognizer.diagnosis.facts import Place
from tool_recognizer.diagnosis.facts import Process
from tool_recognizer.diagnosis.facts import RAW
from tool_recognizer.diagnosis.facts import Recognizer
from tool_recognizer.diagnosis.facts import Status
from tool_recognizer.diagnosis.facts import Topic
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Severity
from tool_recognizer.diagnosis.judge import is_healthy
from tool_recognizer.diagnosis.judge import judge
from tool_recognizer.programs.call import VERBS

PREFIX = 'python3 -m tool_recognizer'
NAME = '/tool_recognizer'
LISTENER = End(NAME, RAW)
CAMERA = End('/camera', RAW, reliable=True)
OPERATOR = End('/console', 'vision_msgs/msg/Classification', reliable=True)
CONFIRMED = Topic(f'{NAME}/confirmed_label', (OPERATOR,),
                  (End(NAME, 'vision_msgs/msg/Classification', reliable=True),))
VERSIONS = {'tool_recognizer': '0.1.0', 'rclpy': '7.1.5'}
STATUSES = {
    'input': Status(0, 'answering', {'received': '150', 'answered': '150', 'enabled': 'True',
                                     'invalid_confirmations': '0'}),
    'inference': Status(0, 'tools.onnx', {
        'refused': '', 'fast_dds_profile': '/opt/share/config/fastdds.xml',
        'version_tool_recognizer': '0.1.0', 'version_rclpy': '7.1.5'}),
    'early warning': Status(0, 'as before'),
    'monitor': Status(0, 'in control', {'ambiguous': '0'})}
GOOD = Facts(
    NAME,
    Recognizer(NAME, parameters={'use_sim_time': False, 'decision.deadline': 0.5,
                                 'decision.max_frame_age': 0.0},
               statuses=STATUSES, before={'input': Status(0, '', {'received': '0'})},
               decisions={'hammer': 140, 'unknown:low_confidence': 10}),
    nodes=(NAME, '/camera', '/console'), recognizers=(NAME,), camera='/image_raw',
    topics={topic.name: topic for topic in (
        Topic('/image_raw', (CAMERA,), (LISTENER,)), Topic('/image_raw/compressed'), CONFIRMED)},
    frames=Frames(150, 150, 30.0, 300_000, '', 0.02),
    place=Place({'ROS_DOMAIN_ID': '7'}, versions=VERSIONS,
                profile='/opt/share/config/fastdds.xml'))


def node(**changes):
    return replace(GOOD, node=replace(GOOD.node, **changes))


def says(name, level=0, message='', **values):
    old = STATUSES.get(name, Status())
    return node(statuses={**STATUSES, name: Status(
        level, message or old.message, {**old.values, **values})})


def parameters(facts=GOOD, **values):
    changed = {name.replace('__', '.'): value for name, value in values.items()}
    return replace(facts, node=replace(
        facts.node, parameters={**facts.node.parameters, **changed}))


def topics(*changed, facts=GOOD):
    return replace(facts, topics={**facts.topics, **{topic.name: topic for topic in changed}})


def frames(**changes):
    return replace(GOOD, frames=replace(GOOD.frames, **changes))


def missing(environment=None, processes=(), **changes):
    return replace(GOOD, node=None, nodes=(), recognizers=(), place=Place(
        environment or {}, processes=processes), **changes) if not changes else replace(
            GOOD, node=None, place=Place(environment or {}, processes=processes), **changes)


CASES = [
    ('no_node', missing(), 'no node /tool_recognizer is heard in domain 0, nor is any other',
     f'{PREFIX} recognizer'),
    ('no_node', missing(nodes=('/left/tool_recognizer',), recognizers=('/left/tool_recognizer',)),
     '/left/tool_recognizer is there', f'{PREFIX} doctor --node /left/tool_recognizer'),
    ('no_node', missing(nodes=('/tool_recogniser', '/camera'), recognizers=()),
     '/tool_recogniser is there', 'doctor --node /tool_recogniser'),
    ('other_domain', missing({'ROS_DOMAIN_ID': '3'}, (Process(99, {'ROS_DOMAIN_ID': '7'}),)),
     'process 99) with ROS_DOMAIN_ID=7, here it is 3', 'export ROS_DOMAIN_ID=7'),
    ('other_middleware', missing({}, (Process(99, {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}),)),
     'RMW_IMPLEMENTATION=rmw_cyclonedds_cpp, here it is rmw_fastrtps_cpp',
     'export RMW_IMPLEMENTATION=rmw_cyclonedds_cpp'),
    ('other_range', missing({}, (Process(99, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}),)),
     'nobody hears it', 'ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST'),
    ('not_heard', missing({}, (Process(99, {}),)), 'process 99), and is not heard', 'kill 99'),
    ('discovery_range', missing({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
     'other machines', 'export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET'),
    ('discovery_range', missing({'ROS_LOCALHOST_ONLY': '1'}),
     'ROS_LOCALHOST_ONLY=1', 'unset ROS_LOCALHOST_ONLY'),
    ('discovery', missing(), 'nothing at all is heard', 'printenv | grep'),
    ('same_name', node(count=2), '2 nodes are named /tool_recognizer', '__ns:='),
    ('no_reply', node(state=''), 'answers no service', 'start it anew'),
    ('unconfigured', node(state='unconfigured'), 'is not configured',
     f'{PREFIX} call configure && {PREFIX} call activate'),
    ('model_refused', node(state='unconfigured', model='/m.onnx: there is no such file'),
     'cannot be configured: /m.onnx: there is no such file', 'set model_path'),
    ('model_refused', node(state='unconfigured', errors=('/m.onnx: not an ONNX file',)),
     '/m.onnx: not an ONNX file', 'set model_path'),
    ('model_refused', says('inference', 1, refused='/new.onnx: labels differ'),
     'the old model stays: /new.onnx: labels differ', f'{PREFIX} call reload_model'),
    ('inactive', node(state='inactive'), 'is not active', f'{PREFIX} call activate'),
    ('finalized', node(state='finalized'), 'has been shut down', 'start it anew'),
    ('paused', says('input', 1, 'paused', enabled='False'), 'paused', f'{PREFIX} call enable'),
    ('versions', says('inference', version_rclpy='9.0.0'), 'rclpy 9.0.0, here it is 7.1.5',
     'source the same environment'),
    ('no_camera', topics(Topic('/image_raw', (), (LISTENER,))), 'nobody publishes /image_raw',
     f'{PREFIX} camera --source FOLDER'),
    ('only_compressed', topics(
        Topic('/image_raw', (), (LISTENER,)),
        Topic('/image_raw/compressed', (End('/camera', PACKED, True),))),
     '/image_raw/compressed is there', f'{PREFIX} set image_transport compressed'),
    ('only_raw', replace(topics(
        Topic('/image_raw', (CAMERA,)),
        Topic('/image_raw/compressed', (), (End(NAME, PACKED),))), camera='/image_raw/compressed'),
     '/image_raw is there', f'{PREFIX} set image_transport raw'),
    ('wrong_type', topics(Topic('/image_raw', (End('/lidar', 'sensor_msgs/msg/PointCloud2'),),
                                (LISTENER,))),
     '/lidar publishes /image_raw as sensor_msgs/msg/PointCloud2', '-r image_raw:=TOPIC'),
    ('two_cameras', topics(Topic('/image_raw', (CAMERA, End('/bag', RAW, True)), (LISTENER,))),
     '2 publishers, /camera and /bag', 'end one of them'),
    ('qos_reliability', topics(Topic('/image_raw', (End('/camera', RAW),),
                                     (End(NAME, RAW, reliable=True),))),
     '/tool_recognizer asks for reliability reliable, /camera offers best_effort',
     '-p qos_overrides./image_raw.subscription.reliability:=best_effort'),
    ('qos_durability', topics(Topic(f'{NAME}/decision', (End(NAME, 'x', reliable=True),), (
        End('/controller', 'x', reliable=True, latched=True),))),
     '/controller asks for durability transient_local, /tool_recognizer offers volatile',
     'let /controller ask for durability volatile'),
    ('qos_reliability', topics(replace(CONFIRMED, publishers=(
        replace(OPERATOR, reliable=False),))),
     '/console offers best_effort', '/console offer reliable'),
    ('no_frames', replace(says('input', received='0', answered='0'), frames=Frames(),
                          ), '/camera publishes /image_raw, but no frame came in 5 s',
     'switched on'),
    ('stamps', frames(trouble="the camera's stamps are 0 in 100 of the last 100 frames: "
                      'confirmations cannot be joined to its frames; let its driver put the time '
                      'of each frame into header.stamp'),
     "the camera's stamps are 0 in 100", 'let its driver put the time'),
    ('old_stamps', frames(age=7200.0), 'stamps are 2 hours old', 'ros2 bag play --clock'),
    ('old_stamps', frames(age=-600.0), "10 minutes ahead of this machine's clock", 'ntp'),
    ('old_stamps', parameters(frames(age=7200.0), decision__max_frame_age=2.0),
     'every decision is stale:no_frame', 'chrony'),
    ('old_stamps', replace(frames(age=1e7), clock=Clock(1, 40)), 'and /clock is published',
     f'{PREFIX} set use_sim_time true'),
    ('frames_lost', frames(heard=20, sent=150, largest=6_220_800),
     '130 of 150 frames of 6.2 MB are lost', 'FASTRTPS_DEFAULT_PROFILES_FILE=/opt/share'),
    ('no_profile', replace(says('inference', fast_dds_profile=''), frames=replace(
        GOOD.frames, largest=6_220_800)), 'without our profile of Fast DDS',
     'FASTRTPS_DEFAULT_PROFILES_FILE=/opt/share'),
    ('no_clock', parameters(use_sim_time=True), 'nobody publishes /clock',
     f'{PREFIX} set use_sim_time false'),
    ('clock_stands_still', replace(parameters(use_sim_time=True), clock=Clock(1, 0)),
     '/clock does not go on', 'let it go on'),
    ('dropped_encoding', says(
        'input', 2, 'every frame is refused', dropped_encoding='150',
        why_encoding="encoding '16UC1' is a depth image, not a picture: remap image_raw"),
     "150 of 150 frames have an encoding that is not read: encoding '16UC1' is a depth image",
     'remap image_raw'),
    ('dropped_corrupt', says('input', dropped_corrupt='40'), '40 of 150 frames are damaged',
     'image_transport raw'),
    ('dropped_busy', says('input', dropped_busy='100'), '100 of 150 frames are passed over',
     'smaller model'),
    ('too_late', says('input', 2, 'every answer is too late: it takes 0.7 s, decision.deadline is '
                      '0.5 s; take a smaller model'),
     'every answer is too late: it takes 0.7 s', 'take a smaller model'),
    ('dark', node(decisions={'unknown:dark': 60, 'hammer': 40}), '60% of the frames are too dark',
     'light'),
    ('overexposed', node(decisions={'unknown:overexposed': 100}), '100% of the',
     'exposure'),
    ('blurred', node(decisions={'unknown:blurred': 100}), 'blurred', 'lens'),
    ('frozen', node(decisions={'unknown:frozen': 100}), 'one and the same picture', 'driver'),
    ('slow_camera', replace(node(decisions={'hammer': 10, 'stale:no_frame': 9}), frames=replace(
        GOOD.frames, rate=1.0)), '1 frames a second', f'{PREFIX} set decision.deadline 2.5'),
    ('journal', says('journal', 2, 'nothing is remembered: the disk is full'),
     'the disk is full', 'can be written'),
    ('nobody_confirms', topics(replace(CONFIRMED, publishers=()), facts=says(
        'monitor', 1, 'not enough confirmed labels yet (0)')),
     'nobody confirms', f'{PREFIX} console'),
    ('nobody_confirms', says('monitor', 3, 'no confirmation for too long'),
     'no confirmation has come for too long', 'inspection.probability'),
    ('ambiguous', says('monitor', ambiguous='3'), '3 confirmations', 'header.stamp'),
    ('invalid_confirmations', says('input', invalid_confirmations='2'), '2 confirmations',
     'confirmation_ack'),
    ('drift', says('monitor', 2, 'drift: wrong more often'), 'drift alarm: wrong more often',
     f'{PREFIX} call reset_monitor'),
    ('early_warning', says('early warning', 1, 'the model is less sure'),
     'early warning: the model is less sure', 'confirm some frames'),
    ('gate', says('passages', 1, 'nobody publishes /x (std_msgs/Bool): start it'),
     'nobody publishes /x (std_msgs/Bool)', 'start it')]


def test_a_line_that_runs_well_has_no_findings():
    assert judge(GOOD, PREFIX) == []
    assert is_healthy([])


@pytest.mark.parametrize(('code', 'facts', 'what', 'cure'), CASES,
                         ids=[f'{number}-{case[0]}' for number, case in enumerate(CASES)])
def test_it_is_found_and_the_cure_is_named(code, facts, what, cure):
    findings = judge(facts, PREFIX)
    found = next(finding for finding in findings if finding.code == code)
    assert what in found.what
    assert cure in found.cure
    assert '\n' not in found.what + found.cure


@pytest.mark.parametrize('case', CASES, ids=[f'{n}-{case[0]}' for n, case in enumerate(CASES)])
def test_the_commands_that_are_named_can_be_typed(case):
    for finding in judge(case[1], PREFIX):
        for program, verb in re.findall(rf'{PREFIX} (\w+)(?: (\w+))?', finding.cure):
            assert program in PROGRAMS
            assert program != 'call' or verb in VERBS


def test_the_commands_name_a_node_that_is_not_the_usual_one():
    facts = replace(GOOD, wanted='/left/tool_recognizer', node=replace(
        GOOD.node, name='/left/tool_recognizer', state='inactive'))
    assert f'{PREFIX} call activate --node /left/tool_recognizer' in [
        finding.cure for finding in judge(facts, PREFIX)]


def test_the_worst_comes_first_and_notes_alone_are_health():
    facts = replace(says('input', dropped_busy='100', dropped_corrupt='20'), frames=replace(
        GOOD.frames, age=7200.0))
    facts = replace(facts, node=replace(facts.node, count=2))
    severities = [finding.severity for finding in judge(facts, PREFIX)]
    assert severities == sorted(severities)
    assert severities[0] is Severity.ERROR
    assert severities[-1] is Severity.NOTE
    assert not is_healthy(judge(facts, PREFIX))
    assert is_healthy(judge(says('input', dropped_busy='100'), PREFIX))


def test_the_table_tells_what_each_part_of_the_node_says():
    lines = table.status(says('journal', 2, 'nothing is remembered', path='monitor.db'))
    assert 'journal  error  nothing is remembered' in lines
    assert any('in control' in line for line in lines)
    assert any('93.3%' in line for line in lines)


def test_findings_are_folded_and_their_cure_stays_in_one_piece():
    found = [Finding(Severity.ERROR, 'x', 'word ' * 40, 'a command ' * 20)]
    first, *others = table.findings(found, 60)
    assert first.startswith('ERROR   word')
    assert max(map(len, [first, *others[:-1]])) <= 60
    assert others[-1].endswith('a command ' * 20)
    # A pipe has no width.
    assert len(table.findings(found, None)) == 2
