"""
After kill -9 at any moment the console publishes what it had called taken, and nothing else.

``TOOL_RECOGNIZER_KILLS=1000`` kills it so often.
"""

from contextlib import suppress
from http.client import HTTPException
import json
import os
import random
import re
from threading import Thread
from time import sleep
from urllib.parse import urlsplit
from urllib.request import Request
from urllib.request import urlopen

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from graph import LABELS
from graph import values
from lives import Lives
from peers import Peer
from rclpy.qos import QoSProfile
from web_socket import connect
from websockets import ConnectionClosed

NAME = '/tool_recognizer'
KILLS = int(os.environ.get('TOOL_RECOGNIZER_KILLS', '3'))
DEEP = QoSProfile(depth=1000)


class Recognizer:
    """
    Acknowledges confirmations and corrections.

    Attributes
    ----------
    heard : what was confirmed or corrected, by nonce; filled

    """

    def __init__(self, heard):
        self.peer, self._heard = Peer(), heard
        self._acknowledgement = self.peer.publisher(
            DiagnosticStatus, f'{NAME}/confirmation_ack', DEEP)
        for topic in ('confirmation', 'correction'):
            self.peer.collect(DiagnosticStatus, f'{NAME}/{topic}', DEEP, keep=self._acknowledge)

    def _acknowledge(self, message):
        said = values(message)
        self._heard.setdefault(said['nonce'], set()).add((said['stamp'], said['distribution']))
        self._acknowledgement.publish(DiagnosticStatus(level=DiagnosticStatus.OK, values=[
            KeyValue(key=key, value=value) for key, value in (said | {'outcome': 'scored'}).items()
            if key in ('stamp', 'frame_id', 'nonce', 'outcome')]))
        return False


def correct(address, sent, taken, rng):
    """Correct one confirmation after another, until the console is killed."""
    place = f'http://{urlsplit(address).netloc}/review/correct'
    with suppress(OSError, HTTPException):
        while True:
            number = len(sent)
            message = {'kind': 'answer', 'nonce': f'correction-{number:06d}',
                       'of': str(number + 1), 'stamp': str(number), 'frame_id': 'bench',
                       'label': rng.choice(LABELS), 'operator': 'kim'}
            sent[message['nonce']] = message
            with urlopen(Request(place, json.dumps(message).encode()), timeout=90) as response:
                response.read()
            taken.add(message['nonce'])
            sleep(0.05)


def test_kills_lose_no_confirmation_that_a_page_was_told_is_taken(tmp_path):
    """And no correction."""
    rng = random.Random(0)
    sent, taken, heard = {}, set(), {}
    corrections, corrected = {}, set()
    lives = Lives('console')

    def begin(recognizer, number):
        log = tmp_path / f'{number}.log'
        lives.begin(log, '--ros-args', '-p', 'console.port:=0', '-p', 'console.undo:=0.0',
                    '-p', f'console.outbox:={tmp_path / "outbox"}')
        found = recognizer.peer.wait(
            lambda: log.exists() and re.search(r'open http://([^/]+)/', log.read_text()),
            'the console does not start')
        return f'ws://{found[1]}/socket?view=operator'

    def note(page):
        said = page.recv(timeout=90)
        if isinstance(said, str) and json.loads(said)['kind'] == 'taken':
            taken.add(json.loads(said)['nonce'])

    recognizer = None
    try:
        for number in range(10 * KILLS):
            # On a slow machine a life may end before anything is taken in it.
            if number >= KILLS and min(len(taken), len(corrected)) >= KILLS:
                break
            before, recognizer = recognizer, Recognizer(heard)
            address = begin(recognizer, number)
            if before is not None:  # what was on its way to it is read
                before.peer.close()
            corrector = Thread(target=correct, args=(address, corrections, corrected,
                                                     random.Random(number)))
            corrector.start()
            with connect(address) as page:
                again = [message for nonce, message in sent.items() if nonce not in taken]
                for n in range(len(sent), len(sent) + rng.randint(1, 20)):
                    again.append({'kind': 'answer', 'nonce': f'nonce-{n:06d}', 'stamp': str(n),
                                  'frame_id': 'bench', 'label': rng.choice(LABELS),
                                  'operator': ''})
                wanted = len(taken) + rng.randint(0, len(again))
                for message in again:
                    sent[message['nonce']] = message
                    page.send(json.dumps(message))
                while len(taken) < wanted:
                    note(page)
                sleep(rng.uniform(0.0, 0.3))
                lives.kill()
                try:
                    while True:
                        note(page)
                except ConnectionClosed:
                    pass
            corrector.join()
        recognizer.peer.close()
        recognizer = Recognizer(heard)
        begin(recognizer, 'last')
        recognizer.peer.wait(lambda: taken | corrected <= {*heard},
                             'what was taken is not published')
    finally:
        lives.close()
        if recognizer is not None:
            recognizer.peer.close()
    sent |= corrections
    assert {*heard} <= {*sent}
    for nonce, confirmed in heard.items():
        message = sent[nonce]
        assert confirmed == {(message['stamp'], json.dumps({message['label']: 1.0}))}
    assert len(taken) >= KILLS
    assert len(corrected) >= KILLS
