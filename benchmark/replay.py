"""
``make bench-replay``: how near a replay comes to what decoding and the network alone take.

The floor, measured in the same run and in turns with it, on as many threads: the frames are in
memory, each is decoded and fitted, and batches go through a bare ``session.run``. What a replay
has beside that is reading the bag, deserialising, judging the frames' quality, the decisions, the
monitor and the figures. A replay also has the thread that reads and decides, so that on a machine
with more cores than threads it has one core more than the floor: the ratio of the processor times
does not depend on that. Run it on a machine that does nothing else.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter
from time import process_time
from typing import Any
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime as ort
from tool_recognizer.bags import to_bag
from tool_recognizer.bags.bag import Bag
from tool_recognizer.bags.bag import deserialize
from tool_recognizer.bags.recording import BATCH
from tool_recognizer.bags.writer import BagWriter
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.messages import from_ros
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.line import AssemblyLine
from tool_recognizer.programs.arguments import whole
from tool_recognizer.programs.replay import main as replay
from tool_recognizer.programs.replay import MOST_JOBS

CASES = {'raw 640x480': (480, 640, False), 'JPEG 1920x1080': (1080, 1920, True)}
PERIOD = 66_666_667
DISTINCT = 90


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog='bench-replay', description=(__doc__ or '').strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=whole(1, 1_000_000), default=600)
    parser.add_argument('--rounds', type=whole(1, 1000), default=5)
    parser.add_argument('--jobs', type=whole(1, MOST_JOBS), default=os.cpu_count() or 1)
    parser.add_argument('--json', help='also write the figures to this file')
    options = parser.parse_args()
    print(f'{options.jobs} threads, {options.frames} frames, the best of {options.rounds} rounds; '
          'frames per second')
    print(f'{"":<18}{"replay":>9}{"floor":>9}{"ratio":>9}{"of processor times":>20}')
    figures: dict[str, Any] = {'jobs': options.jobs, 'frames': options.frames}
    with TemporaryDirectory() as folder:
        for name, (height, width, compressed) in CASES.items():
            bag = write(Path(folder) / name.replace(' ', '_'), options.frames, height, width,
                        compressed)
            low = floor(bag, options.jobs)
            ours, least = [], []
            for _ in range(options.rounds):
                ours.append(took(lambda b=bag: replay(
                    [str(b), '--quiet', '--jobs', str(options.jobs)])))
                least.append(took(low))
            # Loading the model is no part of the floor, so it is taken off the replay, too.
            load = took(lambda: OnnxModel.load(DEFAULT_MODEL, intra_op_threads=1))
            rate = options.frames / (min(turn.seconds for turn in ours) - load.seconds)
            best = options.frames / min(turn.seconds for turn in least)
            processor = min(turn.processor for turn in least) / (
                min(turn.processor for turn in ours) - load.processor)
            figures[name] = {'replay_fps': rate, 'floor_fps': best, 'ratio': rate / best,
                             'processor_ratio': processor}
            print(f'{name:<18}{rate:>9.0f}{best:>9.0f}{rate / best:>9.2f}{processor:>20.2f}',
                  flush=True)
        figures['memory_mib'] = [memory(write(Path(folder) / f'length{frames}', frames, 480, 640,
                                              False)) for frames in (100, options.frames)]
    print(f'memory, raw 640x480: {figures["memory_mib"][0]:.0f} MiB for 100 frames, '
          f'{figures["memory_mib"][1]:.0f} MiB for {options.frames}')
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + '\n')
    return 0


def write(path: Path, frames: int, height: int, width: int, compressed: bool) -> Path:
    """Write a bag of the drawn line, with a confirmed frame a second."""
    line = AssemblyLine(0)
    drawn = []
    for index in range(min(frames, DISTINCT)):
        pixels, label = line.frame(index)
        pixels = np.asarray(cv2.resize(pixels, (width, height)), np.uint8)
        drawn.append((pixels, cv2.imencode('.jpg', pixels[..., ::-1])[1].tobytes()
                      if compressed else b'', label))
    with BagWriter(path, compress=False) as writer:
        for number in range(frames):
            pixels, data, label = drawn[number % len(drawn)]
            key = FrameKey(Stamp(10**18 + number * PERIOD), 'bench')
            message = to_bag.jpeg(key, data) if compressed else to_bag.image(key, pixels, 'rgb8')
            writer.write('/image_raw/compressed' if compressed else '/image_raw', key.stamp,
                         message)
            if number % 15 == 7 and label:
                writer.write('/tool_recognizer/confirmed_label', key.stamp + 1,
                             to_bag.distribution(key, {label: 1.0}))
    return path


def floor(path: Path, jobs: int) -> Callable[[], None]:
    """Return the work that no replay can leave out, ready to be timed."""
    model = OnnxModel.load(DEFAULT_MODEL, intra_op_threads=1)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(DEFAULT_MODEL, options, providers=['CPUExecutionProvider'])
    with Bag(path) as bag:
        topics = {name for name in bag.topics if 'image' in name}
        messages = [deserialize(recorded) for recorded in bag.messages(topics)]
    batches = [messages[i:i + BATCH] for i in range(0, len(messages), BATCH)]

    def work(batch: list[Any]) -> None:
        frames = [from_ros.frame(message, model.input) for message in batch]
        pictures = [fit_image(frame.pixels, model.input, frame.order) for frame in frames]
        session.run(None, {'image': np.stack(pictures)})

    def run() -> None:
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(work, batches))
    return run


class Turn(NamedTuple):
    """What one call took: seconds, and seconds of processor time of all threads."""

    seconds: float
    processor: float


def took(work: Callable[[], object]) -> Turn:
    """Time one call."""
    start, used = perf_counter(), process_time()
    work()
    return Turn(perf_counter() - start, process_time() - used)


def memory(path: Path) -> float:
    """Return the greatest resident memory of a replay in a process of its own, MiB."""
    program = ('import sys; from tool_recognizer.programs.replay import main; '
               'main([sys.argv[1], "--quiet"]); print(open("/proc/self/status").read())')
    told = subprocess.run([sys.executable, '-c', program, str(path)], check=True,
                          capture_output=True, text=True).stdout
    return next(int(line.split()[1]) for line in told.splitlines()
                if line.startswith('VmHWM:')) / 1024.0


if __name__ == '__main__':
    sys.exit(main())
