"""The program ``demo``: the nodes in processes of their own, a scripted operator and a table."""

from contextlib import suppress
from functools import partial
import json
import os
from pathlib import Path
import signal
import socket
import sys
from tempfile import TemporaryDirectory

from tool_recognizer.programs.arguments import command
from tool_recognizer.programs.arguments import in_range
from tool_recognizer.programs.arguments import LONGEST
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import whole
from tool_recognizer.programs.children import Children
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.running import run_node
from tool_recognizer.ros.demo_node import DemoNode
from tool_recognizer.ros.scripted_operator import ScriptedOperator
from tool_recognizer.ros.sources import count_pictures
from tool_recognizer.ros.sources import DRAWN
from tool_recognizer.ros.sources import open_source
from tool_recognizer.terminal.demo_rows import Light
from tool_recognizer.terminal.demo_rows import Seen
from tool_recognizer.terminal.live_table import LiveTable
from tool_recognizer.terminal.terminal import Terminal

SUMMARY = 'camera, recognizer and a scripted operator together, without a camera'

CONSOLE_PORT = 8080
# Of the drawn line's light. The model is unsure of what it sees then, so that some fifteen
# confirmed labels, half a minute at the usual rate, are enough for an alarm.
DIMMED = 0.03
QUIET = ('--ros-args', '--log-level', 'warn')


class _Demo:
    """One run: its parts, and what is printed when it is over."""

    def __init__(self) -> None:
        self._node: DemoNode | None = None
        self._children: Children | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._reserved: socket.socket | None = None
        self._record = ''

    def make(self, camera: str, rate: float, seconds: float, drift: float | None, headless: bool,
             confirm: float, console: int | None, record: str, passages: bool) -> DemoNode:
        """
        Start all of it.

        Raises
        ------
        ValueError
            The source, the port, the folder or the arguments together cannot be used; nothing
            was started.

        """
        _check_drift(drift, camera, seconds, confirm)
        if passages and camera not in DRAWN:
            raise ValueError('passages: it is the drawn line that has a photo-eye, so it needs '
                             f'the camera bench or line, got {camera}')
        # The camera would report it, too, but only after the rest was started and announced.
        open_source(camera, tell=lambda text: None)
        if record and Path(record).exists():
            raise ValueError(f'{record}: exists already; name a new folder or remove it')
        check_outputs(folders=[Path(record) if record else None])
        if console and not _can_listen(console):
            raise ValueError(f'console: port {console} of 127.0.0.1 cannot be used; give another '
                             'one, or none for one that is free')
        if console is None:
            console, self._reserved = _free_port()
        terminal = Terminal(sys.stdout, os.environ)
        is_drawn = terminal.redraws and not headless
        head = [f'ROS_DOMAIN_ID={os.environ.get("ROS_DOMAIN_ID") or 0}']
        if console:
            head += [f"operator's page: http://127.0.0.1:{console}/",
                     f"engineer's: http://127.0.0.1:{console}/engineer"]
        if headless:
            print(', '.join(head), flush=True)
        self._children, self._record = Children(captured=is_drawn), record
        self._node = DemoNode(
            Seen(camera, light=None if drift is None else Light(DIMMED, drift),
                 passage='' if passages else None),
            ScriptedOperator(confirm, camera in DRAWN, count_pictures(camera)), self._children,
            None if headless else partial(LiveTable(terminal).show, head), seconds)
        # A closed terminal ends it like Ctrl-C; otherwise its programs would go on.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            self._start(camera, rate, console, drift is not None, passages)
        except OSError:
            self._node.destroy_node()
            raise
        return self._node

    def _start(self, camera: str, rate: float, console: int, drifts: bool, passages: bool
               ) -> None:
        assert self._children is not None
        self._folder = TemporaryDirectory(prefix='tool_recognizer_')
        journal = f'journal.path:={self._folder.name}/journal.db'
        models = f'models.path:={self._folder.name}/models'
        # The scripted operator confirms blindly picked frames, so that all of them count. The
        # model knows drawn tools, so a short demo need not learn the line first, and to be short
        # it takes several frames of one tool for as many tools.
        self._children.start(
            'recognizer', *QUIET, '-p', 'autostart:=true', '-p', journal, '-p', models,
            '-p', 'inspection.probability:=0.01', '-p', 'monitor.volunteered:=score',
            *(('-p', 'locate.mode:=auto') if camera == 'bench' else ()),
            *(('-p', 'monitor.reference:=model', '-p', 'monitor.skip_repeated:=false')
              if drifts else ()), *(('-p', 'passage.gate:=topic') if passages else ()))
        self._children.start('camera', '--source', camera, '--rate', str(rate), *QUIET)
        if console:
            self._children.start(
                'console', *QUIET, '-p', f'console.port:={console}', '-p', journal, '-p', models,
                '-p', f'console.outbox:={self._folder.name}/console.outbox',
                '-p', f'console.collection:={self._folder.name}/collection')
        if self._record:
            self._children.start('record', '--output', self._record, *QUIET)

    def report(self, status: int) -> None:
        """Print how it went, when all programs have ended."""
        if self._reserved is not None:
            self._reserved.close()
        if self._node is None or self._children is None:
            return
        for line in self._children.said():
            print(line)
        if self._folder is not None:
            self._folder.cleanup()
        if self._record and Path(self._record).exists():
            print(f'recorded {self._record}; replay it with: '
                  f'{command(Path(sys.executable), "replay", self._record)}')
        if not status:
            print(json.dumps(self._node.summary()))
        sys.stdout.flush()


def _check_drift(drift: float | None, camera: str, seconds: float, confirm: float) -> None:
    if drift is None:
        return
    if camera not in DRAWN:
        raise ValueError('drift: it is the light of the drawn line that is dimmed, so it needs '
                         f'the camera bench or line, got {camera}')
    if 0.0 < seconds <= drift:
        raise ValueError(f'drift: the demo ends after {seconds:g} s, and the light would be '
                         f'dimmed after {drift:g} s; give more seconds, or none')
    if not confirm:
        raise ValueError('drift: an alarm needs confirmed labels, and the share that is '
                         'confirmed is 0; see --confirm')


def _free_port() -> tuple[int, socket.socket | None]:
    """
    Return the console's usual port, or another if that is taken.

    Until its console listens, only a name keeps the usual one from another demo; it is held by the
    socket that is returned, too.
    """
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f'\0tool_recognizer port {CONSOLE_PORT}')
        if _can_listen(CONSOLE_PORT):
            return CONSOLE_PORT, name
    except OSError:  # another demo has it
        pass
    name.close()
    return _can_listen(0), None


def _can_listen(port: int) -> int:
    """Return the port if one can listen there, or a free one for 0; otherwise 0."""
    with socket.socket() as trial, suppress(OSError, OverflowError):
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(('127.0.0.1', port))
        return int(trial.getsockname()[1])
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the demo until its time is over or the user ends it; return the exit status."""
    parser = Parser('demo', SUMMARY, (
        'demo', 'demo --seconds 20 --headless', 'demo --drift 60', 'demo --passages',
        'demo --camera photos/'))
    parser.add_argument('--camera', default='bench',
                        help='bench (drawn; the tool is a third of the frame), line (drawn; it '
                             'fills the frame), a folder, a video, a device or a bag '
                             '(default: bench)')
    parser.add_argument('--rate', type=in_range(0.1, 1000.0), default=15.0,
                        help='frames per second of a folder or what is drawn (default: 15)')
    parser.add_argument('--seconds', type=in_range(0.0, LONGEST), default=0.0,
                        help='end after this time; 0: at Ctrl-C (default: 0)')
    parser.add_argument('--drift', type=in_range(0.0, LONGEST), metavar='SECONDS',
                        help='dim the light of what is drawn after this time, so that one sees '
                             'an alarm, half a minute to a minute later')
    parser.add_argument('--headless', action='store_true', help='no table')
    parser.add_argument('--confirm', type=in_range(0.0, 1.0), default=0.3, metavar='SHARE',
                        help='share of the frames that the scripted operator confirms, 0 to 1; '
                             'others are asked for on the page '
                             '(default: 0.3)')
    parser.add_argument('--console', type=whole(0, 65535), metavar='PORT',
                        help="port of the operator's console on this machine; 0: no console "
                             f'(default: {CONSOLE_PORT}, or a free one if that is taken)')
    parser.add_argument('--record', default='', metavar='FOLDER',
                        help='record frames, predictions and confirmations as a bag, for replay')
    parser.add_argument('--passages', action='store_true',
                        help='one answer for each tool: the drawn line has a photo-eye')
    demo = _Demo()
    status = run_node(demo.make, parser, argv)
    demo.report(status)
    return status
