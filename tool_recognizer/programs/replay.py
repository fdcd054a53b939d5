"""
Recorded bags through the very same code as live, with figures, a report and a verdict.

The frames go in the order of the recorded time, every one is answered, and the clock is the
recording's. Left out: timing. A replay is as fast as the machine; the live node's latency is known
only if its predictions were recorded.
"""

import argparse
from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
import os
from pathlib import Path
import sys
from time import monotonic
from typing import Any

import cv2
from tool_recognizer import __version__
from tool_recognizer.assembly import make_engine
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import BagError
from tool_recognizer.bags.labels_file import LabelsError
from tool_recognizer.bags.labels_file import read_labels_file
from tool_recognizer.bags.plan import choose
from tool_recognizer.bags.plan import Plan
from tool_recognizer.bags.recording import Event
from tool_recognizer.bags.recording import find_frames
from tool_recognizer.bags.recording import look
from tool_recognizer.bags.recording import merge
from tool_recognizer.bags.recording import Opened
from tool_recognizer.bags.recording import read
from tool_recognizer.bags.recording import Reads
from tool_recognizer.bags.recording import requests
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.replayed import Surprise
from tool_recognizer.core.view import look as look_at
from tool_recognizer.core.view import View
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.parameter_file import checked
from tool_recognizer.parameter_file import defaults
from tool_recognizer.parameter_file import ParameterError
from tool_recognizer.parameter_file import read_parameters
from tool_recognizer.parameters import Value
from tool_recognizer.programs.arguments import between
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.arguments import whole
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.outputs import write_whole
from tool_recognizer.replaying.cluster import Cluster
from tool_recognizer.replaying.cluster import ClusterError
from tool_recognizer.replaying.result import BaselineError
from tool_recognizer.replaying.result import Check
from tool_recognizer.replaying.result import compared
from tool_recognizer.replaying.result import Demands
from tool_recognizer.replaying.result import judge
from tool_recognizer.replaying.result import read_baseline
from tool_recognizer.replaying.result import result
from tool_recognizer.replaying.result import scorecard
from tool_recognizer.replaying.result import to_json
from tool_recognizer.replaying.result import to_junit
from tool_recognizer.replaying.run import LATCHED
from tool_recognizer.replaying.run import Run
from tool_recognizer.reports.replay import report_page
from tool_recognizer.training.labelled import NEGATIVES
from tool_recognizer.training.spelling import spelled

SUMMARY = 'recorded bags through the same code as live: figures, a report and a verdict'
EXAMPLES = (
    'replay recording',
    'replay shift1 shift2 --json result.json --html report.html',
    'replay recording --model new.onnx --baseline old.json',
    'replay recording --max-nll 0.2 --no-drift --junit replay.xml',
    'replay recording --labels shown.csv --output results')
# Seconds between two updates of the progress line.
REFRESH = 0.2
# Threads at most: each has a batch of frames in memory.
MOST_JOBS = 1024


class ReplayError(ValueError):
    """A replay that cannot be made, and why."""


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments, default the process's

    Returns
    -------
    0 done, and all that was demanded is met; 1 it is not; 2 unusable input

    """
    return run_program(_replay, _parser(), (
        BagError, BaselineError, ClusterError, LabelsError, ModelError, ParameterError,
        ReplayError), argv)


def _parser() -> Parser:
    parser = Parser('replay', SUMMARY, EXAMPLES)
    parser.add_argument('bags', nargs='+', type=Path, metavar='BAG',
                        help='rosbag2 folder, or a file: .mcap, .db3, either with .zstd; several '
                             'are one recording, in the order of their time')
    what = parser.add_argument_group('what is used')
    what.add_argument('--image-topic', default='', metavar='TOPIC',
                      help='the camera; needed if the bag has several')
    what.add_argument('--labels', default='', metavar='TOPIC|FILE',
                      help='true labels: a vision_msgs/Classification topic (default: every '
                           '.../confirmed_label), a std_msgs/String topic that names the tool '
                           'shown, or a CSV file of stamp,label[,probability...]')
    what.add_argument('--present-topic', default='', metavar='TOPIC',
                      help='with passage.gate topic: says whether an object is there, a '
                           'std_msgs/Bool topic (default: .../object_present)')
    what.add_argument('--confirm-every', type=between(0.0), default=float('inf'),
                      metavar='SECONDS',
                      help='with a String topic: confirm a frame each so many seconds while the '
                           'same tool is shown (default: one frame for each showing)')
    what.add_argument('--model', default='', metavar='FILE', help='default: as the parameters say')
    what.add_argument('--params-file', type=Path, metavar='FILE',
                      help="the recognizer's parameters, as the node reads them")
    what.add_argument('--namespace', default='/', metavar='NAME',
                      help="with --params-file: the node's namespace, as /left "
                           '(default: %(default)s)')
    results = parser.add_argument_group('results')
    results.add_argument('--json', type=Path, metavar='FILE', help='all figures')
    results.add_argument('--html', type=Path, metavar='FILE', help='report, one offline page')
    results.add_argument('--output', type=Path, metavar='DIR',
                         help='MCAP bag with every result topic')
    results.add_argument('--quiet', action='store_true',
                         help='print no table and no progress, only demands that are not met')
    verdict = parser.add_argument_group('verdict (exit status 1 if it is not met)')
    verdict.add_argument('--max-nll', type=in_range(0.0), metavar='NATS')
    verdict.add_argument('--min-accuracy', type=in_range(0.0, 1.0), metavar='SHARE')
    verdict.add_argument('--no-drift', action='store_true')
    verdict.add_argument('--baseline', type=Path, metavar='FILE',
                         help='stored JSON: the NLL may not be worse on the same frames')
    verdict.add_argument('--tolerance', type=in_range(0.0), default=0.01, metavar='NATS',
                         help='per frame, by which it may be worse than the baseline '
                              '(default: %(default)s)')
    verdict.add_argument('--junit', type=Path, metavar='FILE', help='the verdict as JUnit XML')
    machine = parser.add_argument_group('machine')
    machine.add_argument('--jobs', type=whole(0, MOST_JOBS), default=0, metavar='N',
                         help='threads (default: one per core)')
    machine.add_argument('--scheduler', default='', metavar='ADDRESS',
                         help='a Dask cluster, as tcp://host:8786; its workers must see the bags '
                              'and the model under the same paths')
    return parser


def _replay(arguments: argparse.Namespace) -> int:
    shown = Path(arguments.labels) if Path(arguments.labels).is_file() else None
    check_outputs((arguments.json, arguments.html, arguments.junit), [arguments.output],
                  [*arguments.bags, arguments.params_file, arguments.baseline, shown,
                   Path(arguments.model) if arguments.model else None])
    parameters = _parameters(arguments)
    baseline = read_baseline(arguments.baseline) if arguments.baseline else None
    labels: dict[int, Mapping[str, float]] = {}
    labels_topic = arguments.labels
    if shown:
        labels, labels_topic = read_labels_file(shown), ''
    bags = [look(path) for path in arguments.bags]
    plan = choose({name: topic for bag in bags for name, topic in bag.topics.items()},
                  image_topic=arguments.image_topic, labels_topic=labels_topic,
                  present_topic=arguments.present_topic,
                  transport=str(parameters['image_transport']),
                  gate=str(parameters['passage.gate']))
    if labels:
        plan = replace(plan, confirmed=(), shown='')
    jobs = arguments.jobs or os.cpu_count() or 1
    if parameters['locate.mode'] == 'ground':
        if arguments.scheduler:
            raise ReplayError('locate.mode is ground, so that a frame is looked at after the '
                              'answer to the one before, and no bag can be read apart: leave '
                              '--scheduler out')
    else:
        # Each thread infers a batch of its own, which is faster than all of them on one.
        parameters['intra_op_threads'] = parameters['intra_op_threads'] or 1
        # The threads share the cores already, and OpenCV's own would be in their way.
        cv2.setNumThreads(1)
    parameters['shadow_model_path'] = ''  # --baseline compares models here
    try:
        engine = make_engine(parameters)
    except ValueError as error:  # parameters that do not go together
        raise ReplayError(str(error)) from None
    for hint in engine.model.hints:
        print(f'{engine.model.path}: {hint}', file=sys.stderr)
    labels = _spelled(labels, engine.model.labels, arguments.labels)
    with ExitStack() as stack:
        output = (stack.enter_context(BagWriter(arguments.output, latched=LATCHED))
                  if arguments.output else None)
        run = Run(engine, parameters, plan, bags, labels=labels,
                  confirm_every=arguments.confirm_every, output=output,
                  drawn=arguments.html is not None)
        losses: dict[int, Sequence[str]] = {}
        if arguments.scheduler:
            reads: Reads = stack.enter_context(Cluster(
                arguments.scheduler, bags, plan, parameters, engine.model.digest, losses))
        else:
            pool = stack.enter_context(ThreadPoolExecutor(jobs))
            reads = _local(bags, plan, engine.model, run.parameters, pool, jobs + 1, losses)
        for number, bag in enumerate(bags):
            for event in requests(bag.path, plan):
                run.ask(number, event)
        _go_through(run, bags, reads, arguments.quiet)
        if not run.received:
            raise ReplayError(f'no frame on {plan.frames} in '
                              f'{", ".join(str(bag.path) for bag in bags)}')
        card = scorecard(run)
        comparison = compared(run, baseline) if baseline else None
        checks = judge(run, card, Demands(arguments.max_nll, arguments.min_accuracy,
                                          arguments.no_drift, arguments.tolerance), comparison)
        document = result(run, bags, losses, parameters, __version__, card, checks,
                          (baseline, comparison) if baseline and comparison else None)
        files: dict[Path, str] = {}
        if arguments.json:
            files[arguments.json] = to_json(document)
        if arguments.junit:
            files[arguments.junit] = to_junit(checks, document)
        if arguments.html:
            files[arguments.html] = report_page(
                document, run.story, _pictures(run, bags),
                f'{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}')
        write_whole(files)
    # Failed demands are printed even with --quiet.
    lines = verdict_lines(check for check in checks if not check.passed)
    if not arguments.quiet:
        lines = [table(document, checks)]
    if lines:
        print('\n'.join(lines))
    return 0 if all(check.passed for check in checks) else 1


def _spelled(labels: Mapping[int, Mapping[str, float]], known: tuple[str, ...], where: str
             ) -> dict[int, Mapping[str, float]]:
    """Spell the labels of a file as the model does, and say what is changed or unknown to it."""
    counts = Counter(label for distribution in labels.values() for label in distribution)
    chosen = spelled(counts, known, NEGATIVES)
    for name, right in sorted(chosen.items()):
        if name != right:
            print(f'{where}: {name!r} is taken as {right!r}', file=sys.stderr)
    strange = sorted(name for name in {*chosen.values()} - {*known} if ':' not in name)
    if strange:
        print(f'{where}: no labels of the model, so that their frames count as novel: '
              f'{", ".join(strange)}', file=sys.stderr)
    found: dict[int, Mapping[str, float]] = {}
    for stamp, distribution in labels.items():
        summed: dict[str, float] = defaultdict(float)
        for label, probability in distribution.items():
            summed[chosen[label]] += probability
        found[stamp] = dict(summed)
    return found


def _parameters(arguments: argparse.Namespace) -> dict[str, Value]:
    parameters = defaults()
    if arguments.params_file:
        said, notes = read_parameters(arguments.params_file, arguments.namespace)
        parameters |= said
        for note in notes:
            print(note, file=sys.stderr)
    if arguments.model:
        parameters['model_path'] = checked('model_path', arguments.model, '--model')
    return parameters


def _local(bags: Sequence[Opened], plan: Plan, model: OnnxModel, parameters: Mapping[str, Any],
           pool: ThreadPoolExecutor, ahead: int, losses: dict[int, Sequence[str]]) -> Reads:
    """Read bags here, in threads."""
    view = View.of(parameters.__getitem__)
    ground = KnownGround() if view.locate == 'ground' else None

    def reads(number: int) -> Iterator[Event]:
        with Bag(bags[number].path) as bag:
            yield from read(bag.messages(plan.topics), plan.frames, model,
                            parameters['camera.max_pixels'], view, pool, ahead, ground)
            losses[number] = bag.losses
    return reads


def _pictures(run: Run, bags: Sequence[Opened]) -> list[tuple[Surprise, Frame | None]]:
    """
    Find the most surprising frames again, and what the model was shown of them.

    With ``locate.mode`` ground that is not known any more, and the whole region stands for it.
    """
    view = View.of(run.parameters.__getitem__)
    if view.locate == 'ground':
        view = view._replace(locate='off')
    return [(surprise, next((look_at(frame, view).frame for frame in find_frames(
        bags[surprise.bag].path, run.plan.frames, surprise.moment,
        run.parameters['camera.max_pixels']) if frame.key == surprise.key),
        None)) for surprise in run.most_surprising]


def _go_through(run: Run, bags: Sequence[Opened], reads: Reads, quiet: bool) -> None:
    run.start(min(bag.start for bag in bags))
    progress = Progress(run, quiet or not sys.stderr.isatty())
    for number, event in merge(bags, reads):
        run.take(number, event)
        progress.show(event.moment)
    progress.clear()
    run.finish(max(bag.end for bag in bags))


class Progress:
    """A line on the terminal: how far, how fast, and how long it still takes."""

    def __init__(self, run: Run, silent: bool) -> None:
        self._run, self._silent = run, silent
        self._started = self._shown = monotonic()

    def show(self, moment: int) -> None:
        """Show how far the recording is, by the moment that is reached, ns."""
        now = monotonic()
        if self._silent or now - self._shown < REFRESH:
            return
        self._shown = now
        whole = self._run.clock.duration
        share = self._run.clock.elapsed(moment) / whole if whole else 1.0
        passed = now - self._started
        left = f'{passed / share - passed:.0f} s left' if share > 0.01 else ''
        bar = '#' * int(30 * share)
        print(f'\r\x1b[K[{bar:<30}] {share:4.0%}  {self._run.received} frames, '
              f'{self._run.received / passed:.0f} per second  {left}', end='', file=sys.stderr,
              flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if not self._silent:
            print('\r\x1b[K', end='', file=sys.stderr, flush=True)


def table(document: Mapping[str, Any], checks: Sequence[Check]) -> str:
    """
    Lay a result out for people.

    Parameters
    ----------
    document : of ``result``
    checks : the verdict

    """
    about, figures, drift = document['input'], document['figures'], document['drift']
    lines = [f'{about["answered"]} of {about["frames"]} frames answered, '
             f'{about["duration_s"]:.1f} s of {about["topic"]}']
    lines += [f'  dropped ({reason}): {count}, as {about["examples"].get(reason, "")}'
              for reason, count in about['dropped'].items()]
    lines += [f'  {loss}' for bag in document['bags'] for loss in bag['losses']]
    lines += [f'  {note}' for note in about['notes']]
    if about['stamps_repeated'] or about['stamps_backwards']:
        lines.append(f'  stamps: {about["stamps_repeated"]} repeated, '
                     f'{about["stamps_backwards"]} run backwards')
    if about['stamps_trouble']:
        lines.append(f'  {about["stamps_trouble"]}')
    if len(about['frames_per_frame_id']) > 1:
        lines.append(f'  several cameras in one topic: {about["frames_per_frame_id"]}')
    confirmations = {k: v for k, v in document['confirmations'].items() if v}
    lines += ['', 'confirmations: ' + (', '.join(f'{v} {k}' for k, v in confirmations.items())
                                       or 'none, so nobody knows how good the predictions are')]
    if figures['n']:
        lines += [f'accuracy {figures["accuracy"]:.4f} [{figures["accuracy_ci_low"]:.4f}, '
                  f'{figures["accuracy_ci_high"]:.4f}]   NLL {figures["nll"]:.4f} nats '
                  f'[{figures["nll_ci_low"]:.4f}, {figures["nll_ci_high"]:.4f}]',
                  f'KL {figures["kl"]:.4f} [{figures["kl_ci_low"]:.4f}, '
                  f'{figures["kl_ci_high"]:.4f}]   label mix {figures["marginal_kl"]:.4f}   ECE '
                  f'{figures["ece"]:.4f}   in brackets: 95 % intervals']
    lines += [f'decided {reason}: {share:.1%}'
              for reason, share in document['unknown_rates'].items()]
    if 'passages' in document:
        lines += _tools(document['passages'])
    for alarm in drift['alarms']:
        lines.append(f'DRIFT at {alarm["elapsed"]:.1f} s, after {alarm["scored"]} confirmed '
                     f'frames: began about {alarm["change_elapsed"]:.1f} s, {alarm["leading"]}, '
                     f'mostly in {alarm["worst_label"]!r}')
    if not drift['alarms']:
        lines.append(drift['quiet'])
    early = document['early_warning']
    if early['warning']:
        lines.append(f'early warning at {early["elapsed"]:.1f} s, from the predictions alone: '
                     f'{early["reason"]}')
    live = document['live_answers']
    if live['compared']:
        lines.append(f'{live["compared"]} live predictions in the recording, greatest difference '
                     f'{live["greatest_difference"]:.2g}')
    lines += verdict_lines(checks)
    return '\n'.join(lines)


def _tools(passages: Mapping[str, Any]) -> list[str]:
    decided = ', '.join(f'{count} {made}' for made, count in passages['decisions'].items())
    fit = passages['fit']
    return [f'tools: {decided or "none came"}', *([] if not fit['passages'] else [
        f'passage.correlation {passages["correlation"]:g}, the likeliest '
        f'{fit["correlation"]:.2f} ({fit["low"]:.2f} to {fit["high"]:.2f}) of {fit["passages"]} '
        'confirmed tools'])]


def verdict_lines(checks: Iterable[Check]) -> list[str]:
    """Say of each demand whether it is met, a line each."""
    return [f'{"passed" if check.passed else "FAILED"}  {check.name}: {check.words}'
            for check in checks]


if __name__ == '__main__':
    sys.exit(main())
