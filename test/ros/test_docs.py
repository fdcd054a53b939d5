"""
Every command in the README and in docs/ does what its page says.

The shell blocks of a page are run from top to bottom, in a folder that holds what the pages speak
of: photographs, a recording, a journal. pages.py says what cannot be run here, and why.
"""

import ast
from contextlib import suppress
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from time import monotonic
from time import sleep

import cv2
from journal_writer import JournalWriter
import numpy as np
from pages import ASKS_THE_NODE
from pages import blocks
from pages import commands
from pages import every_command
from pages import is_run
from pages import LAUNCH
from pages import NOT_HERE
from pages import PAGES
from pages import ROOT
from pages import TELLS_THE_NODE
import pytest
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.pictures.line import AssemblyLine
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.ros.console_node import SETTINGS
from vision_msgs.msg import Classification
import yaml

# It stays in the foreground, and this node or topic says that it is up.
ENDLESS = {r'make demo(?!.*SECONDS)': None, r'.*tool_recognizer recognizer': 'tool_recognizer',
           r'.*tool_recognizer camera': 'camera',
           r'.*tool_recognizer console(?! users)': 'console',
           r'.*tool_recognizer record': 'recorder'}
# Its result may be bad; only unusable input would be wrong.
VERDICT = re.compile(r'--gate|--no-drift|tool_recognizer doctor')
LONGEST = 240.0
LABELS = ('hammer', 'screwdriver', 'wrench')
MODEL = ROOT / 'tool_recognizer' / 'models' / 'tools.onnx'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Make the folder that the pages speak of."""
    folder = tmp_path_factory.mktemp('pages')
    for name in ('Makefile', 'tool_recognizer', 'tools', 'config', 'deploy', 'requirements'):
        (folder / name).symlink_to(ROOT / name)
    rng = np.random.default_rng(0)
    for place, each in (('photos', 5), ('other_photos', 3)):
        for label in (*LABELS, 'other'):
            (folder / place / label).mkdir(parents=True)
            for number in range(each):
                picture = draw_tool(label, rng, 160, 200)[..., ::-1]
                cv2.imwrite(str(folder / place / label / f'{number}.jpg'), picture)
    for name in ('old.onnx', 'new.onnx'):
        shutil.copy(MODEL, folder / name)
    (folder / 'last_release.json').symlink_to(folder / 'result.json')
    video(folder / 'video.mp4')
    journal(folder / 'journal.db')
    tools = folder / 'bin'
    tools.mkdir()
    make = shutil.which('make')
    for name, call in (('python3', f'{sys.executable} "$@"'),
                       # .venv is not made anew: the tests' own environment is used.
                       ('make', f'{make} -e -o venv "$@"')):
        (tools / name).write_text(f'#!/bin/sh\nexec {call}\n')
        (tools / name).chmod(0o755)
    return folder


def video(path):
    line = AssemblyLine(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 15, (320, 240))
    for number in range(30):
        writer.write(cv2.resize(line.frame(number)[0], (320, 240))[..., ::-1])
    writer.release()


def journal(path):
    with JournalWriter(path, LABELS) as written:
        written.answer(2, [0.1, 0.2, 0.7], 'wrench')
        jpeg = cv2.imencode('.jpg', np.zeros((16, 16, 3), np.uint8))[1].tobytes()
        written.confirm(2, 'wrench', jpeg)


def classifier(path):
    """Write what PyTorch would export: N x 3 x H x W in, logits out."""
    onnx = pytest.importorskip('onnx', reason='pip install onnx, to write a classifier')
    from onnx import helper
    from onnx import numpy_helper
    graph = helper.make_graph(
        [helper.make_node('GlobalAveragePool', ['x'], ['pooled']),
         helper.make_node('Flatten', ['pooled'], ['y'], axis=1)], 'graph',
        [helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, ['N', 3, 32, 32])],
        [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, ['N', len(LABELS)])],
        [numpy_helper.from_array(np.zeros(1, np.float32), 'nothing')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 8
    onnx.save(model, path)
    path.with_suffix('.txt').write_text('\n'.join(LABELS))


class Shell:
    """Runs commands in the folder, as a reader would, but each command only once."""

    def __init__(self, folder, peer, answers):
        self.folder, self.peer, self.answers = folder, peer, answers
        self.done = folder / 'done.txt'
        self.environment = os.environ | {
            'PATH': f'{folder / "bin"}:{os.environ["PATH"]}', 'HOME': str(folder),
            'ROS_HOME': str(folder / 'ros'), 'PYTHONUNBUFFERED': '1',
            'python': sys.executable}

    def run(self, command):
        if self.done.exists() and command in self.done.read_text().splitlines():
            return
        endless = [node for pattern, node in ENDLESS.items() if re.match(pattern, command)]
        typed = command.replace('ros2 run tool_recognizer', 'python3 -m tool_recognizer')
        if 'console users' in typed:
            typed = f'echo a password | {typed}'
        elif 'tool_recognizer console' in typed:  # its usual port may be another user's
            typed += ('' if '--ros-args' in typed else ' --ros-args') + ' -p console.port:=0'
        if 'tool_recognizer train' in typed:  # a smaller fit of the same kind
            typed += ' --views 2 --drawn 11'
        log = self.folder / 'output.txt'
        for node in filter(None, endless):
            # A demo's camera, killed with it, stays known until its lease ends, or for good if the
            # last that it said of itself came late.
            with suppress(AssertionError):
                self.peer.wait(lambda node=node: not self.known(node), patience=30.0)
            known = self.known(node)
        self.answers.clear()
        with log.open('w') as output:
            process = subprocess.Popen(
                ['bash', '-euo', 'pipefail', '-c', typed], cwd=self.folder, stdout=output,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment,
                start_new_session=True)
        try:
            if endless:
                # A demo: frames are answered.
                self.wait(process, lambda: self.known(endless[0]) > known if endless[0]
                          else self.answers, f'{command}: {log}')
                os.killpg(process.pid, signal.SIGINT)
            status = process.wait(LONGEST)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        allowed = {0, 1} if VERDICT.search(command) else {0}
        # make is interrupted, too, and says so.
        allowed |= {-signal.SIGINT, 2} if endless and 'make' in command else set()
        assert status in allowed, f'{command}: {status}: {log.read_text()}'
        assert 'Traceback' not in log.read_text(), f'{command}: {log.read_text()}'
        with self.done.open('a') as done:
            done.write(command + '\n')

    def known(self, node):
        """Return how many nodes of this name are known."""
        return self.peer.node.get_node_names().count(node)

    def wait(self, process, condition, why):
        end = monotonic() + LONGEST
        while not condition():
            assert process.poll() is None, f'ended by itself: {why}: {process.returncode}'
            assert monotonic() < end, f'waited in vain: {why}'
            sleep(0.05)


@pytest.fixture
def shell(folder, line_bag, peer):
    if not (folder / 'recording').exists():
        shutil.move(line_bag('recording', frames=60), folder / 'recording')
    return Shell(folder, peer, peer.collect(Classification, '/tool_recognizer/classification'))


@pytest.mark.parametrize('page', [page for page in PAGES if any(map(is_run, commands(page)))],
                         ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(page, shell):
    to_run = [command for command in commands(page) if is_run(command)]
    if any('imagenet.onnx' in command for command in to_run):
        classifier(shell.folder / 'imagenet.onnx')
    for language, text in blocks(page):
        if language == 'yaml' and page.name == 'parameters.md':
            (shell.folder / 'my.yaml').write_text(text)
    for command in to_run:
        shell.run(command)


def test_the_node_does_what_the_programs_tell_it(shell, recognizer):
    recognizer()
    shell.peer.wait(lambda: shell.peer.state() == 'active', 'the node is not active')
    commands = dict.fromkeys(command for command in every_command()
                             if re.match(TELLS_THE_NODE, command))
    assert commands
    for command in commands:
        shell.run(command.replace('/models/', f'{shell.folder}/'))


def test_a_reason_stands_only_beside_a_command_that_is_there():
    texts = every_command() + [text for page in PAGES for _, text in blocks(page)]
    assert [pattern for pattern in NOT_HERE if not any(re.match(pattern, text)
                                                       for text in texts)] == []


def test_a_launch_is_given_arguments_that_it_has():
    for command in (command for command in every_command() if re.match(LAUNCH, command)):
        name, *given = shlex.split(command)[3:]
        calls = [node for node in ast.walk(ast.parse((ROOT / 'launch' / name).read_text()))
                 if isinstance(node, ast.Call) and getattr(node.func, 'id', '') ==
                 'DeclareLaunchArgument']
        assert {one.split(':=')[0] for one in given} <= {call.args[0].value for call in calls}


def test_a_file_of_parameters_has_names_and_values_that_the_node_takes():
    known = {parameter.name: parameter for parameter in PARAMETERS}

    def flat(values, group=''):
        for name, value in values.items():
            if isinstance(value, dict):
                yield from flat(value, f'{group}{name}.')
            else:
                yield group + name, value

    files = [yaml.safe_load(text) for page in PAGES for language, text in blocks(page)
             if language == 'yaml']
    assert files
    for file in files:
        for name, value in flat(file['/**']['ros__parameters']):
            parameter = known.get(name) or SETTINGS[name]
            assert type(value) is type(parameter.default)
            assert name in SETTINGS or parameter.check(value) == ''


def message(kind, values):
    """Make a message of what is written in YAML."""
    made = kind()
    for name, value in values.items():
        field = getattr(made, name)
        if isinstance(value, dict):
            value = message(type(field), value)
        elif isinstance(value, list):
            inner = importlib.import_module(kind.__module__.rsplit('.', 1)[0])
            element = re.search(r'/(\w+)>', kind.get_fields_and_field_types()[name]).group(1)
            value = [message(getattr(inner, element), one) for one in value]
        setattr(made, name, value)
    return made


def test_the_node_has_what_the_pages_ask_ros2_for(peer, recognizer):
    recognizer(passage__gate='topic')
    # In the pages' order: region.x is refused until region.width leaves room for it.
    asked = [*dict.fromkeys(command for command in every_command()
                            if re.match(ASKS_THE_NODE, command))]
    assert asked
    for command in asked:
        _, what, verb, *rest = shlex.split(command)
        if what == 'param':
            known = {parameter.name: parameter for parameter in PARAMETERS}
            assert known[rest[1]].check(yaml.safe_load(rest[2])) == ''
            assert peer.set_parameter(rest[1], yaml.safe_load(rest[2])).successful
        elif what == 'service':
            peer.wait(lambda one=(rest[0], [rest[1]]):
                      one in peer.node.get_service_names_and_types(), rest[0])
        elif verb == 'echo':
            peer.wait(lambda topic=rest[0]: peer.node.get_publishers_info_by_topic(topic), rest[0])
        else:
            topic, kind, values = rest[1:]
            listeners = peer.wait(lambda topic=topic:
                                  peer.node.get_subscriptions_info_by_topic(topic), topic)
            assert {listener.topic_type for listener in listeners} == {kind}
            package, _, name = kind.split('/')
            kind = getattr(importlib.import_module(f'{package}.msg'), name)
            sent = message(kind, yaml.safe_load(values))
            assert len(getattr(sent, 'results', [1])) == 1


def test_every_topic_and_service_of_the_node_stands_in_topics_md(peer, recognizer):
    recognizer(passage__gate='topic')
    page = (ROOT / 'docs' / 'topics.md').read_text()
    written = {'/tool_recognizer' + name[1:] if name.startswith('~') else name
               for name in re.findall(r'`(~/[\w/]+|/diagnostics)`', page)}
    # What every node and every lifecycle node has; ROS 2's own pages tell of them.
    common = re.compile(r'.*/(transition_event|get_type_description'
                        r'|\w*(parameter|state|transition)s?\w*)$')

    def there():
        names = (peer.node.get_topic_names_and_types()
                 + peer.node.get_service_names_and_types())
        return {name for name, _ in names if not common.match(name)
                and name.startswith(('/tool_recognizer/', '/diagnostics'))}
    peer.wait(lambda: written <= there(), f'the node has not all of {written}')
    assert there() == written


def test_the_foxglove_layout_names_topics_that_the_node_has(peer, recognizer):
    recognizer()
    layout = json.loads((ROOT / 'config' / 'foxglove-layout.json').read_text())
    text = json.dumps(layout)
    topics = set(re.findall(r'"(/[\w/]+)', text))
    assert topics
    for topic in topics:
        peer.wait(lambda topic=topic: peer.node.get_publishers_info_by_topic(topic), topic)

    def panels(node):
        """Return the panels that a part of the layout shows."""
        if isinstance(node, str):
            tabs = layout['configById'][node].get('tabs', [])
            return {node}.union(*(panels(tab['layout']) for tab in tabs))
        return panels(node['first']) | panels(node['second'])
    assert panels(layout['layout']) == layout['configById'].keys()


def test_the_controller_of_the_docs_hears_a_label_and_then_silence(start, recognizer, tmp_path):
    (code,) = [text for language, text in blocks(ROOT / 'docs' / 'controllers.md')
               if language == 'python']
    (tmp_path / 'controller.py').write_text(code)
    log = tmp_path / 'controller.log'
    with log.open('w') as output:
        controller = subprocess.Popen([sys.executable, '-u', tmp_path / 'controller.py'],
                                      stdout=output, stderr=subprocess.STDOUT)

    def wait_for(words):
        end = monotonic() + LONGEST
        while words not in log.read_text():
            assert controller.poll() is None, log.read_text()
            assert monotonic() < end, log.read_text()
            sleep(0.1)
    try:
        node, _ = recognizer(passage__gate='topic'), start('camera', '--source', 'line')
        wait_for('one wrench, p = ')
        assert node.stop() == 0
        wait_for('do not act')
    finally:
        controller.kill()
        controller.wait()


def test_the_unit_of_systemd_is_one_that_systemd_takes():
    if not shutil.which('systemd-analyze'):
        pytest.skip('systemd is not here')
    done = subprocess.run(
        ['systemd-analyze', 'verify', ROOT / 'deploy' / 'tool_recognizer.service'],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'tool_recognizer.service' not in done.stderr


def test_the_readme_is_short_and_its_pictures_are_small():
    text = (ROOT / 'README.md').read_text()
    assert text.count('\n') < 150
    pictures = re.findall(r'!\[.+\]\((.+)\)', text)
    assert len(pictures) == 3
    assert all(0 < (ROOT / path).stat().st_size < 150_000 for path in pictures)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_a_link_to_a_file_leads_to_one(page):
    links = re.findall(r'\]\((?!https?:|#)([^)#]+)', page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
