"""The program `replay`: figures, verdict, outputs and bad input, over bags of the drawn line."""

from itertools import count
import json
from pathlib import Path
import re
import signal
import subprocess
import sys
from time import monotonic
from time import sleep
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from tool_recognizer.assembly import make_engine
from tool_recognizer.bags import recording
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.message_types import STORE
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.empty_place import RELEARNED
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.locate import overlaps
from tool_recognizer.core.quality import fingerprint
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.region import Region
from tool_recognizer.core.view import look
from tool_recognizer.core.view import View
from tool_recognizer.core.view import WHOLE
from tool_recognizer.messages.from_ros import frame
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.programs.replay import main

ROOT = Path(__file__).parent.parent.parent
CONFIRMED = '/tool_recognizer/confirmed_label'
OTHER = {'hammer': 'wrench', 'wrench': 'screwdriver', 'screwdriver': 'hammer'}


def replayed(tmp_path, *arguments, status=0):
    """Run it, and return its JSON."""
    path = tmp_path / 'result.json'
    assert main([*map(str, arguments), '--json', str(path), '--quiet']) == status
    return json.loads(path.read_text())


def refused(capsys, *arguments):
    """Return the one line with which it refuses."""
    assert main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith('replay: ')
    assert error.count('\n') == 1
    return error


@pytest.fixture
def mean_colour(write_model):
    """Return a small quick model, for what does not depend on its predictions."""
    return str(write_model())


def test_every_frame_is_answered_and_the_figures_are_those_of_the_model(tmp_path, line_bag):
    bag = line_bag(frames=60)
    found = replayed(tmp_path, bag)
    assert found['input']['frames'] == found['input']['answered'] == 60
    assert found['figures']['n'] == found['confirmations']['scored'] == 7
    # Each confirmed frame by itself, through the model alone.
    model = OnnxModel.load(DEFAULT_MODEL)
    costs = {}
    with Bag(bag) as opened:
        for recorded in opened.messages({'/image_raw'}):
            prediction = recognize(frame(deserialize(recorded), model.input), model)
            costs[prediction.key.stamp] = prediction.log_probabilities
    for confirmed in found['confirmed_frames']:
        log_p = costs[confirmed['stamp']]
        assert confirmed['nll'] == pytest.approx(
            -log_p[model.labels.index(confirmed['label'])], abs=1e-9)
        assert confirmed['answer'] == model.labels[int(log_p.argmax())]
    assert found['figures']['nll'] == pytest.approx(
        np.mean([confirmed['nll'] for confirmed in found['confirmed_frames']]), abs=1e-9)
    assert found['model']['digest'] == model.digest
    assert found['latency_ms']['stamp_to_recorded']['p50'] == 4.0


@pytest.mark.parametrize('compressed', [False, True])
def test_the_same_bag_gives_the_same_bytes_with_any_number_of_threads(
        tmp_path, line_bag, compressed):
    bag = line_bag(frames=50, compressed=compressed)
    texts = []
    for jobs in (1, 1, 3):
        replayed(tmp_path, bag, '--jobs', jobs)
        texts.append((tmp_path / 'result.json').read_bytes())
    assert texts[0] == texts[1] == texts[2]
    moved = bag.rename(tmp_path / 'elsewhere').rename(tmp_path / 'bag')
    replayed(tmp_path, moved)
    assert (tmp_path / 'result.json').read_bytes() == texts[0]


def test_parts_of_a_recording_are_one_recording(tmp_path, line_bag, mean_colour):
    whole = replayed(tmp_path, line_bag('whole', 60), '--model', mean_colour)
    entries = []
    with Bag(tmp_path / 'whole') as bag:
        entries = list(bag.messages(bag.topics))
    middle = entries[len(entries) // 2].moment
    for name, part in (('late', [e for e in entries if e.moment >= middle]),
                       ('early', [e for e in entries if e.moment < middle])):
        with BagWriter(tmp_path / name) as writer:
            for entry in part:
                writer.write_raw(entry.topic, entry.kind, entry.moment, entry.raw)
    parts = replayed(tmp_path, tmp_path / 'late', tmp_path / 'early', '--model', mean_colour)
    assert parts['confirmed_frames'] == whole['confirmed_frames']
    assert parts['figures'] == whole['figures']
    assert sum(bag['frames'] for bag in parts['bags']) == 60


def test_wrong_labels_raise_an_alarm_that_says_when(tmp_path, line_bag):
    bag = line_bag(frames=600, frames_per_tool=6, compressed=True,
                   wrong=lambda number, label: OTHER[label] if number > 400 else label)
    found = replayed(tmp_path, bag, '--no-drift', '--html', tmp_path / 'report.html', status=1)
    [alarm] = found['drift']['alarms']
    assert found['drift']['alarm']
    assert alarm['evidence'] >= alarm['threshold'] == 2000.0
    at_change = 400 / 15
    assert at_change < alarm['elapsed'] < found['input']['duration_s']
    assert alarm['change_elapsed'] == pytest.approx(at_change, abs=3.0)
    assert found['confirmed_frames'][alarm['change_at']]['stamp'] == alarm['change_stamp']
    assert not found['verdict']['passed']
    # The same without a report.
    assert replayed(tmp_path, bag, '--no-drift', status=1) == found
    page = (tmp_path / 'report.html').read_text()
    assert 'Not passed' in page
    assert '<b>Drift</b> at' in page
    assert page.count('<svg') == 5
    assert page.count('data:image/jpeg;base64,') == 12
    # Offline: nothing is fetched.
    assert 'http' not in page.replace('http://www.w3.org', '').replace('http://purl.org', '') \
        .replace('http://creativecommons.org', '').replace('https://matplotlib.org', '')


def test_the_verdict_compares_frame_by_frame_and_sets_the_exit_status(
        tmp_path, line_bag, mean_colour):
    bag = line_bag()
    replayed(tmp_path, bag)
    stored = tmp_path / 'stored.json'
    (tmp_path / 'result.json').rename(stored)
    good = replayed(tmp_path, bag, '--baseline', stored, '--max-nll', 5, '--min-accuracy', 0.1,
                    '--no-drift', '--junit', tmp_path / 'good.xml')
    assert good['verdict']['passed']
    assert good['baseline']['difference'] == 0.0
    said = {check['name']: check['words'] for check in good['verdict']['checks']}
    assert said['baseline'] == (
        f'NLL against the baseline: identical on all {good["figures"]["n"]} frames')
    assert good['baseline']['n'] == good['figures']['n']
    suite = ElementTree.parse(tmp_path / 'good.xml').getroot()
    assert (suite.get('tests'), suite.get('failures')) == ('5', '0')
    bad = replayed(tmp_path, bag, '--baseline', stored, '--model', mean_colour,
                   '--junit', tmp_path / 'bad.xml', status=1)
    assert bad['baseline']['difference'] > 0.1
    suite = ElementTree.parse(tmp_path / 'bad.xml').getroot()
    assert suite.get('failures') == '1'
    [failure] = suite.iter('failure')
    assert 'against the baseline' in failure.get('message')
    tolerated = replayed(tmp_path, bag, '--baseline', stored, '--model', mean_colour,
                         '--tolerance', 10)
    assert tolerated['verdict']['passed']
    # Frames of the baseline that are not scored any more are no success.
    shorter = line_bag('shorter', frames=45)
    missing = replayed(tmp_path, shorter, '--baseline', stored, status=1)
    assert missing['baseline']['missing'] == 5
    said = {check['name']: check['words'] for check in
            replayed(tmp_path, line_bag('later', frames=45, start=1), '--baseline', stored,
                     status=1)['verdict']['checks']}
    assert said['baseline'].startswith('no confirmed frame is also one of the baseline')


@pytest.mark.parametrize('demand', [('--max-nll', 'nan'), ('--min-accuracy', '95'),
                                    ('--tolerance', '-1')])
def test_a_demand_that_none_could_meet_is_refused(tmp_path, line_bag, capsys, demand):
    with pytest.raises(SystemExit) as refusal:
        main([str(line_bag(frames=3)), *demand])
    assert refusal.value.code == 2
    assert f'{demand[0]}: must be a number' in capsys.readouterr().err


@pytest.mark.parametrize('demand', [('--max-nll', '9'), ('--min-accuracy', '0')])
def test_what_is_not_known_passes_no_demand(tmp_path, line_bag, mean_colour, demand):
    bag = line_bag(frames=5, confirm=False)
    found = replayed(tmp_path, bag, '--model', mean_colour, *demand, status=1)
    assert found['figures']['nll'] is None


def test_a_label_that_is_ruled_out_is_written_as_inf_and_read_again(tmp_path, line_bag,
                                                                    write_model):
    hard = str(write_model('hard.onnx', weights=np.diag([2000.0, 0.0, -2000.0])))
    bag = line_bag()
    found = replayed(tmp_path, bag, '--model', hard)
    assert found['figures']['nll'] > 100.0
    (tmp_path / 'result.json').write_text((tmp_path / 'result.json').read_text().replace(
        f'{found["confirmed_frames"][0]["nll"]}', '"inf"'))
    stored = (tmp_path / 'result.json').rename(tmp_path / 'stored.json')
    again = replayed(tmp_path, bag, '--model', hard, '--baseline', stored)
    assert again['baseline']['difference'] == '-inf'


def test_the_output_bag_holds_every_result_with_the_frames_own_stamps(tmp_path, line_bag):
    bag = line_bag(frames=45)
    found = replayed(tmp_path, bag, '--output', tmp_path / 'results')
    node = '/tool_recognizer'
    with Bag(tmp_path / 'results') as results:
        counts = {name: topic.count for name, topic in results.topics.items()}
        kinds = {name: topic.kind for name, topic in results.topics.items()}
        predictions = [deserialize(m) for m in results.messages({f'{node}/classification'})]
        [info] = [deserialize(m) for m in results.messages({f'{node}/label_info'})]
        drift = [deserialize(m).data for m in results.messages({f'{node}/drift'})]
        status = [deserialize(m) for m in results.messages({f'{node}/monitor'})]
    with Bag(bag) as recorded:
        headers = [deserialize(m).header for m in recorded.messages({'/image_raw'})]
    assert counts[f'{node}/classification'] == counts[f'{node}/decision'] == 45
    assert [prediction.header for prediction in predictions] == headers
    assert [one.class_name for one in info.class_map] == ['hammer', 'screwdriver', 'wrench']
    assert sum(result.score for result in predictions[7].results) == pytest.approx(1.0)
    assert drift == [False]
    assert {value.key: value.value for value in status[-1].values}['n'] == str(
        found['figures']['n'])
    assert kinds == {
        f'{node}/classification': 'vision_msgs/msg/Classification',
        f'{node}/decision': 'vision_msgs/msg/Classification',
        f'{node}/drift': 'std_msgs/msg/Bool',
        f'{node}/early_warning': 'diagnostic_msgs/msg/DiagnosticStatus',
        f'{node}/label_info': 'vision_msgs/msg/LabelInfo',
        f'{node}/monitor': 'diagnostic_msgs/msg/DiagnosticStatus',
        **{f'{node}/monitor/{name}': 'std_msgs/msg/Float64'
           for name in ('nll', 'kl', 'evidence')}}
    readers = pytest.importorskip('mcap.reader', reason='pip install mcap')
    with (tmp_path / 'results' / 'results.mcap').open('rb') as file:
        summary = readers.make_reader(file).get_summary()
    by_topic = {channel.topic: summary.statistics.channel_message_counts[number]
                for number, channel in summary.channels.items()}
    assert by_topic == counts


def test_a_pause_of_the_camera_is_stale_in_the_output(tmp_path, line_bag, mean_colour):
    first = line_bag('first', frames=5, confirm=False)
    later = line_bag('later', frames=5, confirm=False, start=1_790_000_003_000_000_000)
    with BagWriter(tmp_path / 'both') as writer:
        for path in (first, later):
            with Bag(path) as bag:
                for entry in bag.messages(bag.topics):
                    writer.write_raw(entry.topic, entry.kind, entry.moment, entry.raw)
    found = replayed(tmp_path, tmp_path / 'both', '--model', mean_colour,
                     '--output', tmp_path / 'results')
    assert found['input']['gaps_beyond_deadline'] == 1
    assert found['input']['longest_gap_s'] == pytest.approx(2.61, abs=0.01)
    with Bag(tmp_path / 'results') as results:
        decided = [(m.moment, deserialize(m).results[0].class_id)
                   for m in results.messages({'/tool_recognizer/decision'})]
    assert [class_id for _, class_id in decided].index('stale:no_frame') == 5
    assert decided[5][0] - decided[4][0] == 500_000_000


def test_labels_come_from_a_file(tmp_path, line_bag, mean_colour, capsys):
    bag = line_bag(frames=12, confirm=False)
    with Bag(bag) as opened:
        stamps = [FrameKey(m.moment - 4_000_000, '').stamp for m in opened.messages(opened.topics)]
    seconds = f'{stamps[2] // 10**9}.{stamps[2] % 10**9:09d}'
    labels = tmp_path / 'labels.csv'
    labels.write_text(f'stamp,label\n{stamps[0]},WRENCH\n{seconds},hammer,0.75,wrench,0.25\n'
                      f'\n5,wrench\n{stamps[4]},anvil\n')
    found = replayed(tmp_path, bag, '--labels', labels, '--model', mean_colour)
    said = capsys.readouterr().err
    assert "'WRENCH' is taken as 'wrench'" in said
    assert 'count as novel: anvil' in said
    assert [frame['stamp'] for frame in found['confirmed_frames']] == [stamps[0], stamps[2]]
    counts = {k: v for k, v in found['confirmations'].items() if v}
    assert counts == {'scored': 2, 'unmatched': 1, 'novel': 1}
    assert found['figures']['entropy'] == pytest.approx(
        0.5 * -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    for line, words in (('5', 'a label is missing'), ('x5,wrench', "stamp 'x5' is no number"),
                        ('5,wrench,0.7', 'must sum to 1'),
                        ('5,a,0.5,a,0.5', "label 'a' comes twice")):
        labels.write_text(f'{stamps[0]},wrench\n{line}\n')
        error = refused(capsys, bag, '--labels', labels)
        assert 'line 2' in error
        assert words in error
    for stamp in ('nan', '-1', 'inf'):
        # The first line is a heading only if it holds no number.
        labels.write_text(f'{stamp},wrench\n{stamps[0]},wrench\n')
        assert 'line 1: ' in refused(capsys, bag, '--labels', labels)
    labels.write_text('')
    assert 'holds no label' in refused(capsys, bag, '--labels', labels)


def test_labels_come_from_a_topic_that_names_the_tool_shown(tmp_path, line_bag, mean_colour,
                                                            capsys):
    start = 1_790_000_000_000_000_000
    shown = [('/shown', start + at, to_bag.string(label)) for at, label in (
        (0, 'wrench'), (500_000_000, 'wrench'), (1_000_000_000, ''), (2_000_000_000, 'hammer'))]
    bag = line_bag(frames=45, confirm=False, start=start, extra=shown)
    found = replayed(tmp_path, bag, '--labels', '/shown', '--model', mean_colour)
    assert [frame['label'] for frame in found['confirmed_frames']] == ['wrench', 'hammer']
    assert found['confirmed_frames'][1]['stamp'] - start == pytest.approx(2e9, abs=7e7)
    more = replayed(tmp_path, bag, '--labels', '/shown', '--model', mean_colour,
                    '--confirm-every', 0.25)
    assert len(more['confirmed_frames']) == 8
    assert 'topics that can hold labels: /shown' in refused(capsys, bag, '--labels', '/none')
    assert 'is of type sensor_msgs' in refused(capsys, bag, '--labels', '/image_raw')


def test_the_console_s_confirmations_and_requests_count_as_live(tmp_path, line_bag, mean_colour):
    start = 1_790_000_000_000_000_000
    key = FrameKey(start, 'bench')

    def confirmation(at, **values):
        return ('/tool_recognizer/confirmation', start + at,
                to_bag.status('confirmation', '', 0, '', values))
    asked = to_bag.distribution(key, {'wrench': 1.0, 'asked:inclusion_probability': 0.25})
    said = {'stamp': start, 'frame_id': 'bench', 'nonce': 'n1', 'operator': 'o',
            'distribution': '{"wrench": 1.0}'}
    bag = line_bag(frames=9, confirm=False, start=start, extra=[
        ('/tool_recognizer/inspection_request', start + 50_000_000, asked),
        confirmation(200_000_000, **said), confirmation(300_000_000, **said),
        confirmation(400_000_000, stamp='x', frame_id='', distribution='{}')])
    found = replayed(tmp_path, bag, '--model', mean_colour)
    counts = {k: v for k, v in found['confirmations'].items() if v}
    assert counts == {'scored': 1, 'duplicate': 1, 'invalid': 1}


def test_a_request_counts_though_it_was_recorded_after_its_confirmation(
        tmp_path, line_bag, mean_colour):
    start = 1_790_000_000_000_000_000
    period = 66_666_667

    def asked(number, probability):
        key = FrameKey(start + number * period, 'bench')
        return [('/tool_recognizer/confirmed_label', key.stamp + 60_000_000,
                 to_bag.distribution(key, {'wrench': 1.0})),
                ('/tool_recognizer/inspection_request', key.stamp + 70_000_000,
                 to_bag.distribution(key, {'asked:inclusion_probability': probability}))]
    bag = line_bag(frames=9, confirm=False, start=start,
                   extra=[*asked(1, 0.25), *asked(3, 0.5)])
    file = tmp_path / 'parameters.yaml'
    file.write_text('/**:\n  ros__parameters: {inspection.probability: 0.25}\n')
    found = replayed(tmp_path, bag, '--model', mean_colour, '--params-file', file)
    assert found['confirmations']['scored'] == 2
    assert found['window']['effective_n'] == pytest.approx(6.0**2 / (4.0**2 + 2.0**2))
    # Without its parameters nobody was asked, and both count alike.
    assert replayed(tmp_path, bag, '--model', mean_colour)['window']['effective_n'] == 2.0


def test_while_the_line_is_learned_no_alarm_is_worth_little_and_said_so(
        tmp_path, line_bag, mean_colour):
    bag = line_bag(frames=45)
    page = tmp_path / 'report.html'
    found = replayed(tmp_path, bag, '--model', mean_colour, '--no-drift', '--html', page)
    assert found['drift']['learning']
    n = found['confirmations']['scored']
    words = f'the line was still being learned, {n} of 200 labels'
    assert words in found['verdict']['checks'][0]['words']
    assert words in page.read_text()
    assert 'class="good">No drift' not in page.read_text()


def test_the_report_shows_no_mean_without_its_interval(tmp_path, line_bag):
    page = tmp_path / 'report.html'
    figures = replayed(tmp_path, line_bag(frames=60), '--html', page)['figures']
    for name, title in (('nll', 'NLL, nats'), ('kl', 'KL, nats'), ('brier', 'Brier score')):
        low, value, high = (figures[name + end] for end in ('_ci_low', '', '_ci_high'))
        assert low <= value < high
        assert (f'<b>{value:.3f}</b>{title}<small>{low:.3f} to {high:.3f}</small>'
                ) in page.read_text()


def test_parameters_are_those_of_the_node(tmp_path, line_bag, mean_colour, capsys):
    bag = line_bag(frames=10, confirm=False)
    file = tmp_path / 'parameters.yaml'
    file.write_text(f'/**:\n  ros__parameters:\n    model_path: {mean_colour}\n'
                    '    decision.reject_unknown: false\n    use_sim_time: true\n'
                    'tool_recognizer:\n  ros__parameters:\n    decision: {min_probability: 1.0}\n'
                    'camera:\n  ros__parameters: {source: line}\n')
    found = replayed(tmp_path, bag, '--params-file', file)
    assert found['parameters'] == {'decision.min_probability': 1.0,
                                   'decision.reject_unknown': False}
    assert found['decisions'] == {'unknown:low_confidence': 10}
    for text, words in (
            ('{decision.min_probabilty: 1.0}', "is 'decision.min_probability' meant?"),
            ('{decision.min_probability: 2.0}', 'must be in 0 .. 1'),
            ('{monitor.window: many}', 'monitor.window takes a whole number, got many'),
            ('{decision.min_probability: 1}', 'a number with a point, got 1: write 1.0'),
            (']', 'cannot be read'),
            (f'{{model_path: {mean_colour}, decision.coverage: 0.9}}', 'needs a model with a')):
        file.write_text(f'/**:\n  ros__parameters: {text}\n')
        assert words in refused(capsys, bag, '--params-file', file)


def test_a_parameter_file_for_another_node_is_never_a_replay_on_the_defaults(
        tmp_path, line_bag, mean_colour, capsys):
    bag = line_bag(frames=10, confirm=False)
    file = tmp_path / 'parameters.yaml'
    for node in ('/left/tool_recognizer', 'recognizer', 'camera'):
        file.write_text(f'{node}:\n  ros__parameters: {{decision.min_probability: 0.999}}\n')
        error = refused(capsys, bag, '--model', mean_colour, '--params-file', file)
        assert f'sets nothing for /tool_recognizer, only for {node};' in error
        assert ('give the namespace /left' in error) == (node == '/left/tool_recognizer')
    file.write_text('decision:\n  min_probability: 0.999\n')
    assert 'before ros__parameters' in refused(
        capsys, bag, '--model', mean_colour, '--params-file', file)
    file.write_text('/**:\n  ros__parameters: {decision.reject_unknown: false}\n'
                    'left:\n  tool_recognizer:\n'
                    '    ros__parameters: {decision.min_probability: 1.0}\n')
    found = replayed(tmp_path, bag, '--model', mean_colour, '--params-file', file,
                     '--namespace', '/left')
    assert found['decisions'] == {'unknown:low_confidence': 10}
    capsys.readouterr()
    found = replayed(tmp_path, bag, '--model', mean_colour, '--params-file', file)
    assert found['parameters'] == {'decision.reject_unknown': False}
    assert 'what it sets for left/tool_recognizer is passed over' in capsys.readouterr().err


def write_frames(path, messages, topic='/image_raw'):
    with BagWriter(path) as writer:
        for number, message in enumerate(messages):
            writer.write(topic, 1000 + 100 * number, message)
    return path


def picture(stamp, encoding='rgb8', frame_id='bench', value=90):
    channels = {'rgb8': 3, '32FC1': 4}.get(encoding, 3)
    pixels = np.full((8, 8, channels), value + stamp % 50, np.uint8)
    return to_bag.image(FrameKey(stamp, frame_id), pixels, encoding)


def test_bad_frames_are_counted_by_reason_and_named(tmp_path, mean_colour):
    short = picture(30)
    short.data = short.data[:10]
    empty = picture(40)
    empty.data = empty.data[:0]
    bag = write_frames(tmp_path / 'bag', [
        picture(10), picture(20, '32FC1'), short, empty, picture(50)])
    found = replayed(tmp_path, bag, '--model', mean_colour)
    assert found['input']['dropped'] == {'encoding': 1, 'size': 1, 'empty': 1}
    assert found['input']['answered'] == 2
    assert 'depth image' in found['input']['examples']['encoding']


def test_a_bad_frame_changes_no_other_frames_answer(tmp_path, line_bag, mean_colour):
    clean = replayed(tmp_path, line_bag('clean', 40), '--model', mean_colour)
    at = clean['bags'][0]['start']
    bad = [('/image_raw', at + number * 100_000_000, picture(number, '32FC1'))
           for number in range(20)]
    mixed = replayed(tmp_path, line_bag('mixed', 40, extra=bad), '--model', mean_colour)
    assert mixed['input']['dropped'] == {'encoding': 20}
    assert len(clean['confirmed_frames']) > 2
    assert [{**frame, 'nll': 0} for frame in mixed['confirmed_frames']] == [
        {**frame, 'nll': 0} for frame in clean['confirmed_frames']]
    assert [frame['nll'] for frame in mixed['confirmed_frames']] == pytest.approx(
        [frame['nll'] for frame in clean['confirmed_frames']], abs=1e-6)


def test_what_nobody_foresaw_costs_the_one_frame_and_is_said(tmp_path, line_bag, mean_colour,
                                                             monkeypatch):
    numbers = count()

    def failing(picture):
        if next(numbers) == 3:
            raise ZeroDivisionError('odd')
        return fingerprint(picture)

    monkeypatch.setattr(recording, 'fingerprint', failing)
    found = replayed(tmp_path, line_bag(frames=20), '--model', mean_colour, '--jobs', 1)
    assert found['input']['dropped'] == {'error': 1}
    assert found['input']['examples']['error'] == 'ZeroDivisionError: odd'
    assert found['input']['answered'] == 19


def test_bytes_that_are_no_message_are_a_corrupt_frame(tmp_path, mean_colour):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/image_raw', 5, picture(5))
        writer.write_raw('/image_raw', 'sensor_msgs/msg/Image', 6, b'\0\1\0\0\xff\xff\xff\xff')
        writer.write_raw(CONFIRMED, 'vision_msgs/msg/Classification', 7, b'\0\1\0\0\xff')
    found = replayed(tmp_path, tmp_path / 'bag', '--model', mean_colour)
    assert found['input']['dropped'] == {'corrupt': 1}
    assert found['input']['unreadable_messages'] == {CONFIRMED: 1}


def test_stamps_that_repeat_or_run_backwards_and_two_cameras_are_reported(tmp_path, mean_colour,
                                                                          capsys):
    bag = write_frames(tmp_path / 'bag', [
        picture(10), picture(20), picture(20), picture(15), picture(25),
        picture(12, frame_id='other')])
    found = replayed(tmp_path, bag, '--model', mean_colour, '--html', tmp_path / 'report.html')
    assert found['input']['stamps_repeated'] == 1
    assert found['input']['stamps_backwards'] == 1
    assert found['input']['frames_per_frame_id'] == {'bench': 5, 'other': 1}
    assert 'several cameras in one topic' in (tmp_path / 'report.html').read_text()
    assert main([str(bag), '--model', mean_colour]) == 0
    assert '1 repeated, 1 run backwards' in capsys.readouterr().out


def test_the_same_picture_again_and_again_is_frozen(tmp_path, mean_colour):
    file = tmp_path / 'parameters.yaml'
    file.write_text(f'/**: {{ros__parameters: {{model_path: {mean_colour}, '
                    f'decision.frozen_after: 4}}}}')
    bag = write_frames(tmp_path / 'bag', [picture(50 * number) for number in range(6)])
    found = replayed(tmp_path, bag, '--params-file', file)
    assert found['decisions']['unknown:frozen'] == 3


def test_a_cut_off_recording_is_used_and_its_loss_is_reported(tmp_path, line_bag, mean_colour):
    bag = line_bag(frames=40)
    storage = bag / 'bag.mcap'
    storage.write_bytes(storage.read_bytes()[:storage.stat().st_size * 2 // 3])
    (bag / 'metadata.yaml').unlink()
    found = replayed(tmp_path, bag, '--model', mean_colour, '--html', tmp_path / 'report.html')
    assert 15 < found['input']['answered'] < 40
    assert 'metadata.yaml is missing' in found['bags'][0]['losses'][0]
    assert 'bytes are lost' in found['bags'][0]['losses'][1]
    assert 'bytes are lost' in (tmp_path / 'report.html').read_text()


def test_confirmations_that_match_nothing_and_those_that_come_first_are_distinguished(
        tmp_path, line_bag, mean_colour):
    start = 1_790_000_000_000_000_000
    distribution = to_bag.distribution
    bag = line_bag(frames=12, confirm=False, start=start, extra=[
        (CONFIRMED, start - 5, distribution(FrameKey(start, 'bench'), {'wrench': 1.0})),
        (CONFIRMED, start + 5, distribution(FrameKey(start + 7, 'bench'), {'wrench': 1.0})),
        (CONFIRMED, start + 9, distribution(FrameKey(start, 'bench'), {'wrench': 0.5}))])
    found = replayed(tmp_path, bag, '--model', mean_colour)
    counts = {k: v for k, v in found['confirmations'].items() if v}
    assert counts == {'scored': 1, 'unmatched': 1, 'invalid': 1}
    assert found['confirmed_frames'][0]['stamp'] == start


def test_unusable_input_is_one_line_and_nothing_is_written(tmp_path, line_bag, capsys,
                                                           mean_colour):
    bag = line_bag(frames=15)
    assert 'no such bag' in refused(capsys, tmp_path / 'none')
    assert "no topic '/up'; image topics: /image_raw" in refused(
        capsys, bag, '--image-topic', '/up')
    assert 'no picture' in refused(capsys, bag, '--image-topic', CONFIRMED)
    two = write_frames(tmp_path / 'right', [picture(5)], '/right')
    assert ('2 image topics, name one with --image-topic: /image_raw, /right'
            in refused(capsys, bag, two))
    texts = write_frames(tmp_path / 'texts', [to_bag.string('x')], '/texts')
    assert 'no image topic' in refused(capsys, texts)
    (tmp_path / 'broken.json').write_text('{}')
    assert 'is no result of replay' in refused(capsys, bag, '--baseline',
                                               tmp_path / 'broken.json')
    assert 'cannot be read' in refused(capsys, bag, '--model', tmp_path / 'none.onnx')
    before = sorted(tmp_path.iterdir())
    assert 'exists already' in refused(capsys, bag, '--output', two)
    assert 'cannot be written' in refused(
        capsys, bag, '--model', mean_colour, '--json', tmp_path / 'none' / 'result.json',
        '--html', tmp_path / 'report.html', '--output', tmp_path / 'results')
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(('content', 'words'), [
    ('', 'is no result of replay --json: it is no JSON'),
    ('[' * 100_000, 'it is no JSON'), ('[1]', 'it is JSON of another form'),
    ('{"schema": 1}', "it has no 'confirmed_frames'"),
    ('{"schema": 1, "confirmed_frames": [1]}', 'have another form'),
    ('{"schema": 1, "confirmed_frames": [{"stamp": 1, "frame_id": "", "nll": "x"}]}', 'form'),
    ('{"schema": 7}', 'has the schema 7, this version reads 1; make it anew'),
    ('{"nll": 0.1, "risk_coverage": {}}', 'but of evaluate --json; evaluate compares models'),
    ('{"ok": true, "findings": []}', 'but of model --json')])
def test_a_baseline_that_is_none_is_refused_with_what_it_is(tmp_path, line_bag, capsys, content,
                                                            words):
    path = tmp_path / 'baseline.json'
    path.write_text(content)
    bag = line_bag(frames=3)
    assert words in refused(capsys, bag, '--baseline', path)
    assert 'is no result of replay --json: it is no JSON' in refused(
        capsys, bag, '--baseline', DEFAULT_MODEL)
    assert 'cannot be read (Is a directory)' in refused(capsys, bag, '--baseline', tmp_path)


def test_a_quiet_replay_says_only_what_fails_it(tmp_path, line_bag, mean_colour, capsys):
    arguments = [str(line_bag(frames=45)), '--model', str(mean_colour), '--quiet']
    assert main([*arguments, '--max-nll', '0.00001', '--min-accuracy', '0']) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith('FAILED  max-nll: NLL')
    assert captured.out.count('\n') == 1
    assert captured.err == ''
    assert main([*arguments, '--min-accuracy', '0']) == 0
    assert capsys.readouterr().out == ''


def test_an_image_topic_without_a_frame_is_unusable(tmp_path, capsys):
    with Writer(tmp_path / 'bag', version=9) as writer:
        writer.add_connection('/image_raw', 'sensor_msgs/msg/Image', typestore=STORE)
    assert 'no frame on /image_raw' in refused(capsys, tmp_path / 'bag')


def test_where_a_camera_was_recorded_both_ways_the_transport_decides(tmp_path, line_bag,
                                                                     mean_colour):
    raw = line_bag('raw', frames=5, confirm=False)
    jpeg = line_bag('jpeg', frames=5, confirm=False, compressed=True)
    found = replayed(tmp_path, raw, jpeg, '--model', mean_colour)
    assert found['input']['topic'] == '/image_raw'
    assert 'recorded raw and compressed' in found['input']['notes'][0]


def test_the_table_says_what_a_person_wants_to_know(line_bag, capsys):
    assert main([str(line_bag(frames=45)), '--max-nll', '0.00001']) == 1
    table = capsys.readouterr().out
    assert '45 of 45 frames answered, 3' in table
    assert 'confirmations: 5 scored' in table
    assert re.search(r'accuracy \d\.\d{4} \[\d\.\d{4}, \d\.\d{4}\]   NLL', table)
    assert 'FAILED  max-nll: NLL' in table


def test_what_was_decided_for_tools_is_in_the_table_and_in_the_report(
        tmp_path, line_bag, mean_colour, capsys):
    eye, start = '/tool_recognizer/object_present', 10**18
    bag = line_bag(frames=20, start=start, extra=[
        (eye, start, to_bag.truth(True)), (eye, start + 2 * 10**9, to_bag.truth(False))])
    file, report = tmp_path / 'gate.yaml', tmp_path / 'report.html'
    file.write_text('/**: {ros__parameters: {passage.gate: topic}}')
    assert main([str(bag), '--model', mean_colour, '--params-file', str(file), '--html',
                 str(report)]) == 0
    table = capsys.readouterr().out
    (made,) = re.findall(r'^tools: 1 (\S+)$', table, re.MULTILINE)
    assert re.search(r'^passage.correlation 0.75, the likeliest \d.\d\d \(\d.\d\d to \d.\d\d\)'
                     ' of 1 confirmed tools$', table, re.MULTILINE)
    assert f'tools decided {made}' in report.read_text()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_leaves_nothing_behind(tmp_path, line_bag, write_model, number):
    bag = line_bag(frames=60, confirm=False)
    model = write_model(slow=8)
    before = sorted(tmp_path.iterdir())
    process = subprocess.Popen(
        [sys.executable, '-m', 'tool_recognizer', 'replay', str(bag), '--model', str(model),
         '--quiet', '--jobs', '1', '--output', str(tmp_path / 'results'), '--json',
         str(tmp_path / 'result.json')], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    end = monotonic() + 120
    while not list(tmp_path.glob('.results.*')):
        assert monotonic() < end
        sleep(0.02)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    # Python ends by the signal itself if it came while a library was in exec(); for a shell that
    # is 130, too.
    assert process.returncode in (130, -signal.SIGINT), error
    assert 'Traceback' not in error
    assert sorted(tmp_path.iterdir()) == before


def test_stamps_that_are_all_0_are_named_and_no_confirmation_is_joined_to_one_of_their_frames(
        tmp_path, mean_colour, capsys):
    frames = [to_bag.image(FrameKey(0, 'bench'), np.full((16, 16, 3), (9 * n, 0, 0), np.uint8),
                           'rgb8') for n in range(8)]
    with BagWriter(tmp_path / 'bag') as writer:
        for number, image in enumerate(frames):
            writer.write('/image_raw', 10**18 + number, image)
        for number, label in enumerate(('hammer', 'wrench', 'hammer')):
            writer.write(CONFIRMED, 10**18 + 9 + number,
                         to_bag.distribution(FrameKey(0, 'bench'), {label: 1.0}))
    found = replayed(tmp_path, tmp_path / 'bag', '--model', mean_colour)
    assert found['input']['stamps_zero'] == 8
    assert found['confirmations']['ambiguous'] == 3
    assert found['confirmations']['conflicting'] == found['figures']['n'] == 0
    main([str(tmp_path / 'bag'), '--model', str(mean_colour)])
    assert "the camera's stamps are 0 in 8 of the last 8 frames" in capsys.readouterr().out


def test_a_frame_is_looked_at_as_live_with_a_region_and_the_object_found_in_it(
        tmp_path, line_bag):
    bag, changes = line_bag(frames=20, compressed=True), {
        'region': {'x': 0.1, 'width': 0.8, 'rotation': 180}, 'locate': {'mode': 'auto'}}
    file = tmp_path / 'view.yaml'
    file.write_text(json.dumps({'/**': {'ros__parameters': changes}}))
    found = replayed(tmp_path, bag, '--params-file', file, '--output', tmp_path / 'out')
    assert found['parameters']['locate.mode'] == 'auto'
    view = View(Region(x=0.1, width=0.8, rotation=180), 'auto')
    engine = make_engine({})
    located, same = 0, 0
    with Bag(bag) as frames, Bag(tmp_path / 'out') as results:
        for recorded, result, found in zip(
                frames.messages({'/image_raw/compressed'}),
                results.messages({'/tool_recognizer/classification'}),
                results.messages({'/tool_recognizer/detection'}), strict=True):
            seen = look(frame(deserialize(recorded), view.reading(engine.model.input)), view)
            live = engine.recognize(seen)[0]
            replay = {r.class_id: r.score for r in deserialize(result).results}
            assert replay == pytest.approx(dict(zip(
                live.labels, live.probabilities, strict=True)), abs=1e-6)
            whole = frame(deserialize(recorded), engine.model.input)
            before = engine.recognize(look(whole, WHOLE))[0]
            same += np.allclose(before.probabilities, live.probabilities, atol=1e-6)
            located += seen.box is not None
            found, classification = deserialize(found), deserialize(result)
            assert found.header == classification.header
            boxes = [(d.bbox.center.position.x, d.bbox.center.position.y, d.bbox.size_x,
                      d.bbox.size_y) for d in found.detections]
            assert boxes == ([] if seen.box is None else [(*seen.box.middle, *seen.box.size)])
            assert all([c.hypothesis for c in d.results] == classification.results
                       for d in found.detections)
    assert located > 0
    assert same == 0


def test_a_place_is_learned_as_live_and_what_differs_from_it_is_the_object(
        tmp_path, photos, capsys):
    bench = np.random.default_rng(0).integers(100, 110, (240, 320, 3)).astype(np.uint8)
    bench[20:110, 200:290] = (20, 30, 160)  # stands out more than the tool does
    tool = bench.copy()
    pixels = read_picture(next(path for path, label in photos if label == 'wrench'))[0]
    tool[130:226, 30:126] = cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA)
    bag, file = tmp_path / 'bag', tmp_path / 'ground.yaml'
    shown = [*[bench] * (RELEARNED + 2), *[tool] * 3, bench]
    with BagWriter(bag) as writer:
        for number, picture in enumerate(shown):
            key = FrameKey(10**18 + number * 10**8, 'bench')
            writer.write('/image_raw', key.stamp, to_bag.image(key, picture, 'bgr8'))
    file.write_text("/**: {ros__parameters: {locate: {mode: 'ground'}}}")
    replayed(tmp_path, bag, '--params-file', file, '--output', tmp_path / 'out')
    view, ground, engine = View(locate='ground'), KnownGround(), make_engine({})
    with Bag(bag) as frames, Bag(tmp_path / 'out') as results:
        boxes = []
        for recorded, found in zip(frames.messages({'/image_raw'}), results.messages(
                {'/tool_recognizer/detection'}), strict=True):
            seen = look(frame(deserialize(recorded), view.reading(engine.model.input)), view,
                        ground)
            live = engine.recognize(seen)[0]
            ground.learn(live.known)
            replay = deserialize(found).detections
            boxes.append(seen.box)
            assert [(d.bbox.center.position.x, d.bbox.size_x) for d in replay] == (
                [] if seen.box is None else [(seen.box.middle[0], seen.box.size[0])])
            assert [c.hypothesis.score for d in replay for c in d.results] == pytest.approx(
                [] if seen.box is None else live.probabilities.tolist(), abs=1e-6)
    assert boxes[RELEARNED + 1] is boxes[-1] is None
    assert all(overlaps(np.array(box), np.array([[30, 130, 126, 226]]))[0] > 0.5
               for box in boxes[-4:-1])
    assert 'leave --scheduler out' in refused(
        capsys, bag, '--params-file', file, '--scheduler', 'tcp://127.0.0.1:1')


def test_a_region_that_is_none_is_refused(tmp_path, line_bag, capsys):
    file = tmp_path / 'view.yaml'
    file.write_text('/**: {ros__parameters: {region: {x: 0.5}}}')
    assert 'region.x + region.width must be at most 1' in refused(
        capsys, line_bag(frames=4), '--params-file', file)


def test_a_gate_that_was_recorded_under_another_name_is_named(
        tmp_path, line_bag, mean_colour, capsys):
    bag = line_bag(frames=8, start=10**18, extra=[('/photo_eye', 10**18, to_bag.truth(True))])
    file = tmp_path / 'gate.yaml'
    file.write_text('/**: {ros__parameters: {passage.gate: topic}}')
    options = '--model', mean_colour, '--params-file', file
    assert 'name one with --present-topic' in refused(capsys, bag, *options)
    found = replayed(tmp_path, bag, *options, '--present-topic', '/photo_eye')
    assert (found['passages']['topic'], found['passages']['number']) == ('/photo_eye', 1)
    for topic in '/none', CONFIRMED:
        assert 'is no topic of type std_msgs/Bool; there are: /photo_eye' in refused(
            capsys, bag, *options, '--present-topic', topic)
    assert 'leave --present-topic out' in refused(
        capsys, bag, '--model', mean_colour, '--present-topic', '/photo_eye')
