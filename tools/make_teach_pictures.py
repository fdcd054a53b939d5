"""
Make the pictures of docs/teaching.md anew: ``.venv/bin/python3 tools/make_teach_pictures.py``.

It starts a recognizer, a console and a camera that shows drawn tools, and teaches a new tool at
the page; nothing in the pictures is made up. It takes three minutes, and needs what
``tools/make_pictures.py`` needs.
"""

import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory

import cv2
from make_pictures import new_page
from make_pictures import shoot
from make_pictures import wait_for_console
import numpy as np
from playwright.sync_api import Page
from playwright.sync_api import sync_playwright
from tool_recognizer.pictures.scene import draw_ground
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.pictures.tools import TOOLS

NEW, ENOUGH, PORT = 'scissors', 10, 8089


def start(program: str, *rules: str) -> 'subprocess.Popen[bytes]':
    return subprocess.Popen(
        [sys.executable, '-m', 'tool_recognizer', program, '--ros-args',
         *(word for rule in rules for word in ('-p', rule))],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process: 'subprocess.Popen[bytes]') -> None:
    process.send_signal(signal.SIGINT)
    process.wait()


def photographs(folder: Path, label: str) -> Path:
    """Draw what the camera is to see."""
    place, rng = folder / 'seen' / label, np.random.default_rng(len(label))
    place.mkdir(parents=True)
    for number in range(40):
        cv2.imwrite(str(place / f'{number:02d}.jpg'), draw_tool(label, rng, 480, 640)[..., ::-1])
    return place


def collect(page: Page, folder: Path, label: str) -> 'subprocess.Popen[bytes]':
    """Show a tool until enough views are taken; return the camera, which goes on."""
    camera = start('camera', f'source:={photographs(folder, label)}', 'rate:=2.0')
    page.locator('#live').wait_for()
    known = page.locator(f'#labels [data-label={label}]')
    if known.count():
        known.click()
    else:
        page.locator('#name').fill(label)
        page.locator('#new button').click()
    # What the camera before showed has passed by then.
    page.wait_for_timeout(4000)
    page.locator('#auto').click()
    page.wait_for_function(
        '([label, n]) => Number(document.querySelector(`#counts tr[data-label="${label}"] '
        'td:nth-child(2)`)?.textContent) >= n', arg=[label, ENOUGH])
    return camera


def begin(page: Page, folder: Path) -> None:
    """Take a picture of the page while nothing lies before the camera."""
    place = folder / 'seen' / 'nothing'
    place.mkdir(parents=True)
    # This seed draws a wooden bench.
    cv2.imwrite(str(place / '0.jpg'), draw_ground(np.random.default_rng(6), 480, 640)[..., ::-1])
    camera = start('camera', f'source:={place}', 'rate:=2.0')
    try:
        page.locator('#labels [data-label=hammer]').wait_for()
        page.locator('#live').wait_for()
        shoot(page, 'teach-begin', 'section[aria-labelledby=collect-title]')
    finally:
        stop(camera)


def teach(page: Page, folder: Path) -> None:
    """Teach a new tool, and take a picture of each step."""
    page.locator('#who').fill('Anna')
    begin(page, folder)
    for label in (*TOOLS, NEW):
        camera = collect(page, folder, label)
        if label == NEW:
            shoot(page, 'teach-collect', 'section[aria-labelledby=collect-title]')
        page.locator('#auto').click()
        if label != NEW:
            stop(camera)
    try:
        page.locator('#train').click()
        page.locator('#trained', has_text='Version 0001').wait_for()
        page.locator('#held-out tr').first.wait_for()
        shoot(page, 'teach-train', 'section[aria-labelledby=train-title]')
        page.locator('[data-act=beside]').click()
        page.locator('#beside', has_text='runs beside').wait_for()
        shoot(page, 'teach-use', 'section[aria-labelledby=use-title]')
        page.locator('[data-act=charge]').click()
        page.locator('#sure button[value=yes]').click()
        page.locator('tr.chosen').wait_for()
        page.locator('#decision', has_text=NEW).wait_for()
        shoot(page, 'teach-charge', '.step')
    finally:
        stop(camera)


def main() -> int:
    os.environ |= {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                   'ROS_DOMAIN_ID': os.environ.get('ROS_DOMAIN_ID', str(random.randint(1, 100)))}
    with TemporaryDirectory() as name, sync_playwright() as tool:
        folder = Path(name)
        programs = [
            start('recognizer', 'autostart:=true', f'models.path:={folder}/models'),
            start('console', f'console.port:={PORT}', f'models.path:={folder}/models',
                  f'console.collection:={folder}/collection', 'console.line:=Bench 3',
                  f'console.outbox:={folder}/console.outbox')]
        try:
            wait_for_console(PORT)
            browser = tool.chromium.launch(executable_path=shutil.which('chromium'),
                                           args=['--no-sandbox'])
            teach(new_page(browser, f'http://127.0.0.1:{PORT}/teach', 1180, 900), folder)
        finally:
            for program in programs:
                stop(program)
    return 0


if __name__ == '__main__':
    sys.exit(main())
