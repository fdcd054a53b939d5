"""
What ``locate.mode`` is worth: tools on grounds, real frames, photographs it should leave.

    python3 -m benchmark.finding VALIDATION [FRAMES]

VALIDATION is a folder of labelled photographs, VALIDATION/LABEL/*.jpg: what can be cut out of them
is laid on plain and patterned grounds, and they are looked at as they are. FRAMES holds
manifest.csv with the columns file, kind, class, frame_box (left,top,right,bottom), and frames of
the kind 'frames'. No pattern is drawn here as ``tools/fit_finder.py`` draws them.

A known ground is one that was learned from frames without the tool (``locate.mode: ground``);
since then the camera has moved by up to two pixels, and the light has changed.
"""

import argparse
from collections.abc import Iterator
import csv
from itertools import chain
from pathlib import Path
import sys
from time import perf_counter
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.decision import decide
from tool_recognizer.core.known_ground import KnownGround
from tool_recognizer.core.locate import Box
from tool_recognizer.core.locate import find
from tool_recognizer.core.locate import overlaps
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.core.recognition import Frame
from tool_recognizer.core.recognition import FrameKey
from tool_recognizer.core.recognition import Prediction
from tool_recognizer.core.recognition import recognize
from tool_recognizer.core.recognition import Stamp
from tool_recognizer.core.view import look
from tool_recognizer.core.view import MARGIN
from tool_recognizer.core.view import View
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.pictures.grounds import bold_ground
from tool_recognizer.pictures.tools import any_colour
from tool_recognizer.training.augmentation import cut_out

HEIGHT, WIDTH = 720, 1280
SHARES = (0.9, 0.6, 0.4, 0.25, 0.15)
PATTERNS = ('stripes', 'checks', 'dots', 'gravel', 'clutter', 'wood')
TOOLS = 80
AUTO = View(locate='auto')
LEAST = BY_NAME['decision.min_probability'].default
KEY = FrameKey(Stamp(0), '')
TURNS, ROUNDS = 20, 5


class Said(NamedTuple):
    """What became of one picture: its NLL, the accuracy's share, passed, right, wrong."""

    nll: float
    accurate: bool
    passes: bool
    right: bool
    wrong: bool


def said(prediction: Prediction, label: str) -> Said:
    """Judge an answer; of another thing than the model's labels every label is wrong."""
    given = decide(prediction, min_probability=LEAST).class_id
    known = label in prediction.labels
    nll = -prediction.log_probabilities[prediction.labels.index(label)] if known else np.nan
    return Said(float(nll), prediction.labels[prediction.best] == label, prediction.known,
                given == label, given in prediction.labels and given != label)


def answer(pixels: Pixels, model: OnnxModel) -> Prediction:
    """Let the model answer what is shown."""
    return recognize(Frame(KEY, pixels, 'rgb'), model)


def located(pixels: Pixels, model: OnnxModel) -> Prediction:
    """Let the model answer what is looked at."""
    return recognize(look(Frame(KEY, pixels, 'rgb'), AUTO).frame, model)


def around(pixels: Pixels, box: NDArray[np.int64]) -> Pixels:
    """Cut a box with its margin out of a frame."""
    left, top, right, bottom = box.tolist()
    margin = round(MARGIN * max(right - left, bottom - top))
    return pixels[max(0, top - margin):bottom + margin, max(0, left - margin):right + margin]


def read(path: Path) -> Pixels:
    """Read a picture as RGB."""
    return np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1])


def plain(rng: np.random.Generator) -> Pixels:
    """Draw one colour with a little noise and a slope of light."""
    a, b = rng.normal(0, 0.1, 2)
    slope = 1 + np.linspace(-a, a, HEIGHT)[:, np.newaxis] + np.linspace(-b, b, WIDTH)
    ground = slope[..., np.newaxis] * rng.uniform(40, 220, 3)
    noise = 2 * rng.standard_normal(ground.shape, np.float32)
    return np.clip(ground + noise, 0, 255).astype(np.uint8)


def patterned(rng: np.random.Generator) -> Pixels:
    """Draw one of PATTERNS in any colours."""
    kind = PATTERNS[rng.integers(len(PATTERNS))]
    if kind != 'wood':
        return bold_ground(kind, rng, HEIGHT, WIDTH)
    noise = rng.standard_normal((HEIGHT, WIDTH), np.float32)
    streaks = cv2.GaussianBlur(noise, (0, 0), sigmaX=rng.uniform(20, 60),
                               sigmaY=rng.uniform(1, 3))
    grain = 1 + rng.uniform(0.05, 0.2) * streaks / streaks.std()
    planks = np.repeat(rng.uniform(0.8, 1.2, 20), HEIGHT // int(rng.integers(4, 12)) + 1)[:HEIGHT]
    wood = 255 * any_colour(rng) * (grain * planks[:, np.newaxis])[..., np.newaxis]
    return np.clip(wood, 0, 255).astype(np.uint8)


def turned(pixels: Pixels, mask: Pixels, angle: float) -> tuple[Pixels, Pixels]:
    """Turn a cut-out, and cut it down to what is seen of it."""
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    side = int(np.hypot(height, width)) + 2
    matrix[:, 2] += side / 2 - np.array([width, height]) / 2
    mask = np.asarray(cv2.warpAffine(mask, matrix, (side, side)), np.uint8)
    pixels = np.asarray(cv2.warpAffine(pixels, matrix, (side, side),
                                       borderMode=cv2.BORDER_REPLICATE), np.uint8)
    return trimmed(pixels, mask)


def trimmed(pixels: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """Cut a cut-out down to the object."""
    rows, columns = (mask > 127).nonzero()
    inside = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return pixels[inside], mask[inside]


def lay(scene: Pixels, pixels: Pixels, mask: Pixels, scale: float, rng: np.random.Generator
        ) -> NDArray[np.int64]:
    """Lay a cut-out on a scene at any place; return its box."""
    height, width = (max(2, min(most, round(side * scale)))
                     for side, most in zip(mask.shape, (HEIGHT, WIDTH), strict=True))
    left, top = int(rng.integers(WIDTH - width + 1)), int(rng.integers(HEIGHT - height + 1))
    alpha = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)[..., np.newaxis] / 255
    place = scene[top:top + height, left:left + width]
    place[:] = alpha * cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA) + (
        1 - alpha) * place
    return np.array([left, top, left + width, top + height])


def means(answers: list[Said]) -> str:
    """Return the columns' means."""
    values = np.array(answers)
    return ' '.join(f'{value:.3f}' for value in (*values[:, 1:].mean(axis=0),
                                                 np.nanmean(values[:, 0])))


def is_right(box: Box | None, true: NDArray[np.int64]) -> bool:
    """Tell whether a found box overlaps the true one by half or more."""
    return box is not None and overlaps(np.array(box), true[np.newaxis])[0] >= 0.5


def scenes(cuts: list[tuple[Pixels, Pixels, str]], model: OnnxModel) -> Iterator[str]:
    """Yield a line for each ground, size and turn."""
    yield ('ground, share of the height, turned | found, right box | accuracy, passes, right, '
           'wrong, NLL: as it is | located | at the true box')
    for ground in (plain, patterned):
        for share in SHARES:
            for turn in (False, True):
                rng = np.random.default_rng([int(100 * share), int(turn), int(ground is plain)])
                found, as_is, auto, true = [], [], [], []
                for pixels, mask, label in cuts:
                    scene, scale = ground(rng), share * HEIGHT / max(mask.shape)
                    if turn:
                        pixels, mask = turned(pixels, mask, rng.uniform(0, 360))
                    box = lay(scene, pixels, mask, scale, rng)
                    one = look(Frame(KEY, scene, 'rgb'), AUTO)
                    found.append((one.box is not None, is_right(one.box, box)))
                    as_is.append(said(answer(scene, model), label))
                    auto.append(said(recognize(one.frame, model), label))
                    true.append(said(answer(around(scene, box), model), label))
                yield (f'{ground.__name__:9} {share:.2f} {"turned" if turn else "":6} | '
                       f'{np.mean(found, axis=0).round(3).tolist()} | {means(as_is)} | '
                       f'{means(auto)} | {means(true)}')


def on_known_ground(cuts: list[tuple[Pixels, Pixels, str]], model: OnnxModel
                    ) -> Iterator[str]:
    """Yield a line for each size on grounds that were learned without the tool."""
    yield ('known ground, share of the height | found, right box | found in it while empty | '
           'accuracy, passes, right, wrong, NLL: located | at the true box')
    view = View(locate='ground')
    for draw in (plain, patterned):
        for share in SHARES:
            rng = np.random.default_rng([int(100 * share), 2, int(draw is plain)])
            found, empty, located, true = [], [], [], []
            for pixels, mask, label in cuts:
                scene = draw(rng)
                ground = learned(scene)
                empty.append(ground.find(seen_later(scene, rng)) is not None)
                scene = seen_later(scene, rng)
                box = lay(scene, pixels, mask, share * HEIGHT / max(mask.shape), rng)
                one = look(Frame(KEY, scene, 'rgb'), view, ground)
                found.append((one.box is not None, is_right(one.box, box)))
                located.append(said(recognize(one.frame, model), label))
                true.append(said(answer(around(scene, box), model), label))
            yield (f'{draw.__name__:9} {share:.2f} | {np.mean(found, axis=0).round(3).tolist()} | '
                   f'{np.mean(empty):.3f} | {means(located)} | {means(true)}')


def learned(scene: Pixels) -> KnownGround:
    """Show an empty scene until it is known."""
    ground = KnownGround()
    while not ground.is_known:
        ground.find(scene)
        ground.learn(is_tool=False)
    return ground


def seen_later(scene: Pixels, rng: np.random.Generator) -> Pixels:
    """Show a scene in other light, from up to two pixels beside, with a sensor's noise."""
    move = np.array([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(-2, 2)]])
    moved = cv2.warpAffine(scene, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    lit = moved * np.float32(np.exp(rng.normal(0, 0.15)))
    noise = 3 * rng.standard_normal(scene.shape, np.float32)
    return np.clip(lit + noise, 0, 255).astype(np.uint8)


def frames(folder: Path, model: OnnxModel) -> Iterator[str]:
    """Yield the figures of real frames with a stated box."""
    with (folder / 'manifest.csv').open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['kind'] == 'frames']
    found, as_is, auto, true, others = [], [], [], [], []
    for row in rows:
        pixels = read(folder / row['file'])
        box = np.array([int(side) for side in row['frame_box'].split(',')])
        one = look(Frame(KEY, pixels, 'rgb'), AUTO)
        fills = max(box[2:] - box[:2]) >= 0.6 * max(pixels.shape[:2])
        found.append((one.box is not None, is_right(one.box, box),
                      one.box is None if fills else is_right(one.box, box)))
        ways = [said(way, row['class']) for way in (
            answer(pixels, model), recognize(one.frame, model),
            answer(around(pixels, box), model))]
        if row['class'] in model.labels:
            for group, way in zip((as_is, auto, true), ways, strict=True):
                group.append(way)
        else:
            others.append([way.wrong for way in ways])
    yield (f'{len(rows)} frames: found, right box, right box or rightly none '
           f'{np.mean(found, axis=0).round(3).tolist()}')
    yield f'{len(as_is)} of known tools | {means(as_is)} | {means(auto)} | {means(true)}'
    yield f'{len(others)} of others, given a label {np.mean(others, axis=0).round(3).tolist()}'


def filled(photos: list[tuple[Pixels, str]], model: OnnxModel) -> Iterator[str]:
    """Yield what becomes of photographs that the tool fills."""
    found = [find(pixels) is not None for pixels, _ in photos]
    known = [(pixels, label) for pixels, label in photos if label in model.labels]
    yield f'{len(photos)} photographs: something is found in {np.mean(found):.4f}'
    yield (f'{len(known)} of known tools | '
           f'{means([said(answer(pixels, model), label) for pixels, label in known])} | '
           f'{means([said(located(pixels, model), label) for pixels, label in known])}')
    others = [pixels for pixels, label in photos if label not in model.labels]
    yield f'{len(others)} of others, given a label ' + ', '.join(
        f'{np.mean([said(way(pixels, model), "").wrong for pixels in others]):.4f}'
        for way in (answer, located))


def times(model: OnnxModel) -> str:
    """Return the medians of a find and of an inference, each the best of some rounds, ms."""
    frame = patterned(np.random.default_rng(0))
    image = np.zeros((1, model.input.height, model.input.width, 3), np.uint8)
    best = []
    for work in (lambda: find(frame), lambda: model.infer(image)):
        medians = []
        for _ in range(ROUNDS):
            took = []
            for _ in range(TURNS):
                begin = perf_counter()
                work()
                took.append(perf_counter() - begin)
            medians.append(1e3 * float(np.median(took)))
        best.append(min(medians))
    return f'a find takes {best[0]:.2f} ms, an inference {best[1]:.2f} ms'


def main() -> int:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('validation', type=Path)
    parser.add_argument('frames', type=Path, nargs='?')
    arguments = parser.parse_args()
    model = OnnxModel.load(DEFAULT_MODEL)
    print(times(model), flush=True)
    photos = [(read(path), path.parent.name)
              for path in sorted(arguments.validation.glob('*/*.jpg'))]
    if arguments.frames:
        print(*frames(arguments.frames, model), sep='\n', flush=True)
    print(*filled(photos, model), sep='\n', flush=True)
    known = [one for one in photos if one[1] in model.labels]
    cuts: list[tuple[Pixels, Pixels, str]] = []
    for i in np.random.default_rng(0).permutation(len(known)).tolist():
        mask = cut_out(known[i][0]) if len(cuts) < TOOLS else None
        if mask is not None:
            cuts.append((*trimmed(known[i][0], mask), known[i][1]))
    for line in chain(scenes(cuts, model), on_known_ground(cuts, model)):
        print(line, flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
