"""
Make the pictures of the README anew: ``.venv/bin/python3 tools/make_pictures.py``.

It runs the real demo in a terminal of its own, dims the light, and waits for the alarm; nothing in
the pictures is made up. It takes three minutes. It needs an installed Chromium, and pyte, which
reads what a terminal is sent: ``.venv/bin/python3 -m pip install pyte``.
"""

import argparse
import fcntl
from html import escape
import os
from pathlib import Path
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
from threading import Thread
from time import monotonic
from time import sleep

from PIL import Image
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import sync_playwright
import pyte

FOLDER = Path(__file__).parent.parent / 'docs' / 'pictures'
COLUMNS, LINES = 96, 20
# Seconds in ordinary light, and seconds that the alarm may take after it.
DRIFT, PATIENCE = 100, 600
COLOURS = {'red': '#f47067', 'green': '#8ddb8c', 'brown': '#e0b13d', 'default': '#d7dde4'}
TERMINAL = """<body style="margin:0;background:#1c2128"><pre style="margin:0;padding:18px 20px;
display:inline-block;color:#d7dde4;font:15px/1.45 'DejaVu Sans Mono',monospace">{}</pre>"""


class Demo:
    """The demo in a terminal of its own."""

    def __init__(self, port: int) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', LINES, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'tool_recognizer', 'demo', '--drift', str(DRIFT),
             '--console', str(port)], stdin=theirs, stdout=theirs, stderr=theirs,
            env=os.environ | {'TERM': 'xterm-256color', 'COLUMNS': str(COLUMNS)},
            start_new_session=True)
        os.close(theirs)
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 65536):
                self._stream.feed(data)
        except OSError:  # the other end is closed
            pass

    def wait_for(self, words: str) -> None:
        """Wait until the terminal shows something."""
        end = monotonic() + PATIENCE
        while not any(words in line for line in self.screen.display):
            if self._process.poll() is not None or monotonic() > end:
                raise RuntimeError('\n'.join([f'no {words!r}:', *self.screen.display]))
            sleep(0.5)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def html(self) -> str:
        """Return the table that the terminal shows, without what was logged above it."""
        first = max(line for line, text in enumerate(self.screen.display)
                    if text.startswith('ROS_DOMAIN_ID'))
        rows = []
        for line in range(first, LINES):
            cells = [self.screen.buffer[line][column] for column in range(COLUMNS)]
            rows.append(''.join(
                f'<span style="color:{COLOURS.get(cell.fg, COLOURS["default"])};font-weight:'
                f'{"bold" if cell.bold else "normal"}">{escape(cell.data)}</span>'
                for cell in cells))
        while rows and not re.sub('<.*?>', '', rows[-1]).strip():
            rows.pop()
        return TERMINAL.format('\n'.join(rows))


def wait_for_console(port: int) -> None:
    end = monotonic() + PATIENCE
    while monotonic() < end:
        try:
            socket.create_connection(('127.0.0.1', port), 1.0).close()
            return
        except OSError:
            sleep(0.5)


def shoot(page: Page, name: str, whole: str = '') -> None:
    """Write a picture of the page, or of one element of it, in few colours."""
    path = FOLDER / f'{name}.png'
    (page.locator(whole) if whole else page).screenshot(path=path)
    Image.open(path).convert('RGB').quantize(96, dither=Image.Dither.NONE).save(
        path, optimize=True)
    print(f'{path}: {path.stat().st_size / 1000:.0f} kB')


def new_page(browser: Browser, address: str, width: int, height: int) -> Page:
    page = browser.new_context(viewport={'width': width, 'height': height}, color_scheme='light',
                               locale='en-GB').new_page()
    page.set_default_timeout(1000.0 * PATIENCE)
    page.goto(address)
    return page


def operator(browser: Browser, address: str) -> None:
    """Wait until a frame with a tool is asked for."""
    page = new_page(browser, address, 1000, 560)
    page.locator('#choices .choice[aria-disabled="false"]').first.wait_for()
    if page.locator('#name-dialog[open]').count():
        page.keyboard.press('Escape')
    page.wait_for_function('document.querySelector("#picture").naturalWidth > 0')
    shoot(page, 'operator')
    page.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--port', type=int, default=8089, help='of the pages (default: 8089)')
    port = parser.parse_args().port
    FOLDER.mkdir(exist_ok=True)
    address = f'http://127.0.0.1:{port}'
    demo = Demo(port)
    try:
        with sync_playwright() as tool:
            browser = tool.chromium.launch(executable_path=shutil.which('chromium'),
                                           args=['--no-sandbox'])
            demo.wait_for('frames with a known label')
            wait_for_console(port)
            operator(browser, address)
            demo.wait_for('drift: ')
            terminal = new_page(browser, 'about:blank', 1000, 600)
            terminal.set_content(demo.html())
            shoot(terminal, 'table', 'pre')
            sleep(5.0)  # some more points on the charts
            engineer = new_page(browser, f'{address}/engineer', 1280, 900)
            engineer.get_by_text('Drift since').wait_for()
            engineer.locator('#live').wait_for()
            shoot(engineer, 'engineer')
    finally:
        demo.stop()
    return 0


if __name__ == '__main__':
    sys.exit(main())
