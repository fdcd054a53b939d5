"""
What one answer for each object is worth: the drawn line, and photographs as a camera jitters.

    python3 -m benchmark.passages [--lines FIRST LAST] [DATA]

LAST is not among the lines. Of so many answers a perfectly calibrated one has an ECE above 0, too:
its mean stands beside it. DATA is a folder of labelled photographs, DATA/LABEL/*.jpg. Each is
shown six times: turned by up to 12 degrees, moved by up to 7 % of its size, nearer or farther, in
another light, with noise.
"""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
import sys

import cv2
import numpy as np
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.information import Array
from tool_recognizer.core.passage import combine
from tool_recognizer.core.passage import fit_correlation
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.pictures.line import AssemblyLine

Object = tuple[list[tuple[Pixels, str]], str]  # its pictures with their channels, and its label
LINES, TOOLS, FRAMES_PER_TOOL = (600, 605), 40, 12
VIEWS, SIDE = 6, 480
# Draws of labels from the answers themselves.
DRAWS = 200


def drawn(light: float, lines: Sequence[int]) -> Iterator[Object]:
    """Yield the tools of drawn lines."""
    for seed in lines:
        line, shown, label = AssemblyLine(seed, frames_per_tool=FRAMES_PER_TOOL), [], ''
        for index in range(TOOLS * FRAMES_PER_TOOL):
            pixels, seen = line.frame(index, light)
            if seen is not None:
                label = seen
                shown.append((pixels, 'rgb'))
            elif shown:
                yield shown, label
                shown = []


def jittered(folder: Path, labels: tuple[str, ...]) -> Iterator[Object]:
    """Yield photographs as a camera that is not quite still would see them."""
    rng = np.random.default_rng(0)
    for label in labels:
        for path in sorted((folder / label).glob('*')):
            pixels, order = read_picture(path)
            scale = min(1.0, SIDE / max(pixels.shape[:2]))
            height, width = (round(side * scale) for side in pixels.shape[:2])
            small = cv2.resize(np.ascontiguousarray(pixels), (width, height),
                               interpolation=cv2.INTER_AREA)
            views = []
            for _ in range(VIEWS):
                matrix = cv2.getRotationMatrix2D(
                    (width / 2, height / 2), rng.uniform(-12, 12), rng.uniform(0.85, 1.05))
                matrix[:, 2] += rng.uniform(-0.07, 0.07, 2) * (width, height)
                view = cv2.warpAffine(small, matrix, (width, height),
                                      borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
                view = view * rng.uniform(0.6, 1.2) + rng.normal(0, 6, view.shape)
                views.append((np.clip(view, 0, 255).astype(np.uint8), order))
            yield views, label


def perfect_ece(log_p: Array) -> float:
    """Return the mean ECE of answers, (N, K) nats, whose labels are drawn from themselves."""
    rng, below = np.random.default_rng(0), np.exp(log_p).cumsum(axis=1)[:, :-1]
    return float(np.mean([expected_calibration_error(
        log_p, (below < rng.random((len(log_p), 1))).sum(axis=1)) for _ in range(DRAWS)]))


def row(name: str, model: OnnxModel, objects: Iterator[Object]) -> str:
    """Measure objects, and write a line of the table."""
    single: list[Array] = []
    totals, counts, truth = [], [], []
    for pictures, label in objects:
        answers = [recognize(Frame(FrameKey(Stamp(0), ''), pixels, order), model).log_probabilities
                   for pixels, order in pictures]
        single += answers
        totals.append(np.sum(answers, axis=0))
        counts.append(len(answers))
        truth.append(model.labels.index(label))
    rules, y = PassageRules(), np.array(truth)
    whole = np.array([combine(total, count, rules.correlation)
                      for total, count in zip(totals, counts, strict=True)])
    frames, of_frames = np.array(single), np.repeat(y, counts)
    fit = fit_correlation([*np.eye(len(model.labels))[y]], totals, counts, rules.correlation)
    sure = np.exp(whole.max(axis=1)) >= rules.min_probability
    figures = [
        f'{len(y)}', f'{(frames.argmax(axis=1) == of_frames).mean():.4f}',
        f'{(whole.argmax(axis=1) == y).mean():.4f}',
        f'{-frames[np.arange(len(frames)), of_frames].mean():.4f}',
        f'{-whole[np.arange(len(y)), y].mean():.4f}',
        f'{expected_calibration_error(whole, y):.4f}', f'{perfect_ece(whole):.4f}',
        f'{sure.mean():.3f}',
        f'{(whole.argmax(axis=1) != y)[sure].mean():.4f}',
        f'{fit.correlation:.2f} ({fit.low:.2f} to {fit.high:.2f})']
    return f'| {name} | {" | ".join(figures)} |'


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description='Measure what an answer for each tool is worth.')
    parser.add_argument('--lines', nargs=2, type=int, default=LINES, metavar=('FIRST', 'LAST'))
    parser.add_argument('data', nargs='*', type=Path)
    arguments = parser.parse_args()
    model = OnnxModel.load(DEFAULT_MODEL)
    print('| pictures | objects | accuracy of frames | of objects | NLL of frames | of objects '
          '| ECE of objects | if perfectly calibrated | decided | of these wrong '
          '| likeliest correlation |')
    print('|' + ' - |' * 11)
    for light in (1.0, 0.1):
        print(row(f'drawn line, light {light:g}', model, drawn(light, range(*arguments.lines))),
              flush=True)
    for folder in arguments.data:
        print(row(folder.name, model, jittered(folder, model.labels)), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
