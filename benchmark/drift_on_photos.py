"""
``python3 -m benchmark.drift_on_photos DATA``: how soon the drift test sees spoilt photographs.

The default model predicts the labels of photographs (``DATA/LABEL/*.jpg``) as they are and as a
worn camera would see them. From these predictions streams are drawn, with replacement: the line is
learned from the first labels, as the node does it, and at label 500 the photographs become spoilt.
A stream that never alarms counts with the longest delay that could be seen, and streams that
alarmed before the change are left out.

It also says how many photographs are known again by their sketch in another view, a little moved,
in other light and with other noise, and how many pairs of different ones of a label are taken for
the same picture.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path
import sys

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.calibration import expected_calibration_error
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.information import Array
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.sketch import alike
from tool_recognizer.core.sketch import sketch
from tool_recognizer.core.view import WHOLE
from tool_recognizer.evaluation.predictions import fitted
from tool_recognizer.model.onnx_model import OnnxModel

MODEL = Path(__file__).parent.parent / 'tool_recognizer' / 'models' / 'tools.onnx'
CHANGE_AT, AFTER = 500, 1000
Labels = NDArray[np.int64]


def glare(image: Pixels) -> Pixels:
    """Lay a bright blob over a corner."""
    rows, columns = np.indices(image.shape[:2])
    size = min(image.shape[:2])
    blob = 255.0 * np.exp(-((rows - 0.3 * size)**2 + (columns - 0.3 * size)**2)
                          / (2.0 * (0.25 * size)**2))
    return np.clip(image + blob[..., np.newaxis], 0, 255).astype(np.uint8)


SPOILT: dict[str, Callable[[Pixels], Pixels]] = {
    'as they are': lambda image: image,
    'light at 0.15': lambda image: (image * 0.15).astype(np.uint8),
    'light at 0.05': lambda image: (image * 0.05).astype(np.uint8),
    'blur of 3 pixels': lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 3.0), np.uint8),
    'glare': glare,
    'contrast at 0.2': lambda image: (image * 0.2 + 0.8 * image.mean()).astype(np.uint8),
}


def view(rng: np.random.Generator, image: Pixels) -> Pixels:
    """See a picture again: moved by 3 %, turned by 3 degrees, light within 10 %, new noise."""
    height, width = image.shape[:2]
    moved = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-3.0, 3.0),
                                    rng.uniform(0.97, 1.03))
    moved[:, 2] += rng.uniform(-0.03, 0.03, 2) * (width, height)
    seen = (cv2.warpAffine(image, moved, (width, height), borderMode=cv2.BORDER_REFLECT)
            * rng.uniform(0.9, 1.1) + 4.0 * rng.standard_normal(image.shape))
    return np.clip(seen, 0, 255).astype(np.uint8)


def photographs(data: Path, model: OnnxModel) -> tuple[list[Pixels], Labels]:
    """Return the photographs, fitted, and their labels' numbers, (N,)."""
    files = [(path, k) for k, label in enumerate(model.labels)
             for path in sorted((data / label).iterdir()) if path.suffix.lower() != '.txt']
    return ([fitted(path, model.input, WHOLE) for path, _ in files],
            np.array([k for _, k in files]))


def infer(model: OnnxModel, images: Iterable[Pixels]) -> tuple[Array, list[bytes]]:
    """Return log p of pictures, (N, K) nats, and their sketches."""
    rows = [model.infer(image[np.newaxis]) for image in images]
    logits = np.concatenate([row.logits for row in rows]).astype(np.float64)
    return log_softmax(logits, model.temperature), [sketch(row.features[0]) for row in rows]


def known_again(sketches: list[bytes], others: list[bytes], truth: Labels) -> tuple[float, float]:
    """Return the share of pictures known again in another view, and of pairs that are mistaken."""
    again = np.mean([alike(*pair) for pair in zip(sketches, others, strict=True)])
    mistaken = np.mean([alike(sketches[i], others[j]) for i in range(len(truth)) for j in range(i)
                        if truth[i] == truth[j]])
    return float(again), float(mistaken)


def alarm(model: OnnxModel, calm: Array, spoilt: Array, truth: Labels, seed: int) -> int:
    """Return the label of the first alarm of one stream, or the stream's length."""
    rng = np.random.default_rng(seed)
    detector = DriftDetector(len(model.labels), model.reference, seed=seed, learn=True)
    identity = np.eye(len(model.labels))
    for at in range(CHANGE_AT + AFTER):
        row = int(rng.integers(len(truth)))
        detector.update((calm if at < CHANGE_AT else spoilt)[row], identity[truth[row]])
        if detector.alarm:
            return at
    return CHANGE_AT + AFTER


def main() -> int:
    parser = argparse.ArgumentParser(description='Measure drift on spoilt photographs.')
    parser.add_argument('data', type=Path, help='DATA/LABEL/*.jpg')
    parser.add_argument('--streams', type=int, default=40, help='of each way to spoil')
    arguments = parser.parse_args()
    model = OnnxModel.load(MODEL)
    images, truth = photographs(arguments.data, model)
    rng = np.random.default_rng(0)
    views = [infer(model, (view(rng, image) for image in images))[1] for _ in range(2)]
    again, mistaken = known_again(*views, truth)
    print(f'{100 * again:.1f} % of the photographs are known again, {100 * mistaken:.2f} % of the '
          'pairs of different ones of a label are taken for the same.\n')
    found = {name: infer(model, map(spoil, images))[0] for name, spoil in SPOILT.items()}
    print('| photographs | accuracy | NLL | ECE | mean delay | missed | alarms before |\n'
          '| - | - | - | - | - | - | - |')
    for name, log_p in found.items():
        alarms = np.array([alarm(model, found['as they are'], log_p, truth, seed)
                           for seed in range(arguments.streams)])
        late = np.minimum(alarms[alarms >= CHANGE_AT] - CHANGE_AT + 1, AFTER)
        nll = float(-log_p[np.arange(len(truth)), truth].mean())
        print(f'| {name} | {np.mean(log_p.argmax(axis=1) == truth):.3f} | {nll:.3f} '
              f'| {expected_calibration_error(log_p, truth):.3f} | {late.mean():.0f} '
              f'| {np.mean(late >= AFTER):.2f} | {np.mean(alarms < CHANGE_AT):.2f} |', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
