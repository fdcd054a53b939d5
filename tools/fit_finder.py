r"""
Fit the network by which ``core/locate.py`` finds an object, and write it as an ONNX file.

Needed only to make tool_recognizer/models/finder.onnx again. It needs torch and onnx (see
tools/requirements.txt) and no GPU: two cores take about twenty minutes. ::

    python3 tools/fit_finder.py photos/train photos_2/train --without photos_2 \
        --output first.onnx
    python3 tools/fit_finder.py photos/train photos_2/train --without photos_2 \
        --start first.onnx --rate 1e-3 --steps 1700 --seed 1 \
        --output tool_recognizer/models/finder.onnx

The second goes on from the first. When the first was run for the file that ships, the scenes had
fewer pairs of objects, none alike, and no hard shadows; so the file comes out much the same, not
the same to the bit.

Each folder holds a folder of photographs per label. What can be cut out of them is laid on drawn
and photographed grounds (``finder_scenes.py``), and the network says of each two by two pixels of
the finder's copy how probable it is that they show an object. It is fitted by maximum likelihood
(binary cross-entropy). A scene counts the less the larger its object is, so that small objects
count as well. The file holds weights only.

--without names a folder whose manifest.csv has the columns file, kind, source and path: what is of
one burst with one of its whole frames (kind 'frames') is left out, so that these frames can show
what the network is worth.
"""

import argparse
from collections.abc import Iterator
import copy
import csv
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
import re
import time
from typing import NamedTuple

import cv2
from finder_scenes import LONG
from finder_scenes import read_source
from finder_scenes import scene
from finder_scenes import Source
from finder_scenes import uncut
import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
from tool_recognizer.core.locate import SIDE
from tool_recognizer.core.locate import small
from tool_recognizer.core.preprocessing import Pixels
from tool_recognizer.finder_network import SCALE
import torch
from torch import nn
from torch.nn import functional

# Shapes of scenes, height and width, as the finder's copies have them, and how often each comes.
SHAPES = ((112, 192), (144, 192), (192, 192), (192, 144))
OFTEN = (0.5, 0.25, 0.2, 0.05)
BATCH = 32
# How often a batch is of photographs of which the object's mask is not known.
UNCUT = 0.08
# A batch is used so often, mirrored and recoloured; so many are kept to draw from.
USES, KEPT = 5, 24
# The size of an object, cells, above which a scene counts less; and what it counts without one.
COUNTS, WITHOUT = 40.0, 400.0
WARM_UP = 100
# Photographs that stand further apart in a camera's numbering are not of one burst.
BURST = 3
# What the newest weights count in the running mean.
NEWEST = 0.005


class Batch(NamedTuple):
    """(N, h, w, 3) pictures, and (N, h / 2, w / 2) how much of each cell is object, uint8."""

    pictures: Pixels
    masks: Pixels | None


class Residual(nn.Module):
    """Two convolutions beside a shortcut, the first of them dilated."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False),
            nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add to x what the convolutions make of it."""
        return functional.relu(x + self.inner(x))


class Finder(nn.Module):
    """
    Down to a sixteenth, where a cell sees all of the picture, and up again to a quarter.

    It takes (N, 3, H, W) colours, less the picture's mean, over SCALE, with H and W multiples of
    16; it answers (N, 4, H / 4, W / 4) logits, for the two upper and two lower parts of a cell.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to_4 = nn.Sequential(*convolution(3, 12, stride=2), *convolution(12, 20, stride=2))
        self.to_8 = nn.Sequential(*convolution(20, 24, stride=2), Residual(24, 1))
        self.to_16 = nn.Sequential(*convolution(24, 32, stride=2), Residual(32, 1),
                                   Residual(32, 2), Residual(32, 4), *convolution(32, 24, 1))
        self.at_8 = nn.Sequential(*convolution(24, 24), *convolution(24, 20, 1))
        self.at_4 = nn.Sequential(*convolution(20, 20), nn.Conv2d(20, 4, 1))
        # Most of a frame is ground.
        nn.init.constant_(self.at_4[-1].bias, -3.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        x = self.to_4(x)
        y = self.to_8(x)
        y = self.at_8(y + functional.interpolate(self.to_16(y), scale_factor=2.0))
        return self.at_4(x + functional.interpolate(y, scale_factor=2.0))


def convolution(before: int, after: int, side: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution, batch normalisation and ReLU."""
    return [nn.Conv2d(before, after, side, stride, side // 2, bias=False),
            nn.BatchNorm2d(after), nn.ReLU()]


def make(source: Source, seed: int, queue: 'Queue[Batch]') -> None:
    """Put batches into a queue for ever."""
    rng = np.random.default_rng(seed)
    while True:
        queue.put(batch(source, rng))


def batch(source: Source, rng: np.random.Generator) -> Batch:
    """Make a batch of scenes or, at times, of photographs whose mask is not known."""
    height, width = SHAPES[rng.choice(len(SHAPES), p=OFTEN)]
    size = height * LONG // SIDE, width * LONG // SIDE
    if source.uncut and rng.random() < UNCUT:
        return Batch(np.stack([small(uncut(source, rng, *size)) for _ in range(BATCH)]), None)
    pictures, masks = [], []
    for _ in range(BATCH):
        pixels, mask = scene(source, rng, *size)
        pictures.append(small(pixels))
        covered = cv2.resize(mask, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        # Half of a cell is enough: a thin shaft is a part of its tool.
        masks.append(cv2.add(covered, covered))
    return Batch(np.stack(pictures), np.stack(masks))


def cost(net: Finder, one: Batch, rng: np.random.Generator | None = None) -> torch.Tensor:
    """
    Return the mean of a batch's negative log-likelihoods, each by what its picture counts.

    Parameters
    ----------
    net : the network
    one : the batch
    rng : mirrors it, lets its colours change places and changes its contrast; None: as it is

    """
    x = torch.from_numpy(one.pictures).permute(0, 3, 1, 2).float()
    x = (x - x.mean(dim=(2, 3), keepdim=True)) / SCALE
    axes = []
    if rng is not None:
        axes = [axis for axis in (2, 3) if rng.random() < 0.5]
        if rng.random() < 0.5:
            x = x[:, rng.permutation(3).tolist()]
        x = x * torch.from_numpy(np.exp(rng.normal(0, 0.2, (len(x), 1, 1, 1))).astype(np.float32))
    x = x.flip(axes).contiguous(memory_format=torch.channels_last)
    with torch.autocast('cpu', torch.bfloat16):
        logits = net(x).float()
    logits = functional.pixel_shuffle(logits, 2).flip(axes)[:, 0]
    if one.masks is None:
        return uncut_cost(logits)
    y = torch.from_numpy(one.masks).float() / 255
    area = y.sum(dim=(1, 2))
    counts = 1 / (COUNTS + torch.where(area > 0, area, torch.tensor(WITHOUT)))
    each = functional.binary_cross_entropy_with_logits(logits, y, reduction='none')
    return (each.sum(dim=(1, 2)) * counts).mean()


def uncut_cost(logits: torch.Tensor) -> torch.Tensor:
    """
    Return the cost of photographs that an object fills, of unknown outline.

    In the middle half of the rows, or of the columns, each line shows it somewhere (Tian et al.,
    BoxInst, 2021, use such projections of a box).
    """
    sides = []
    for axis in (1, 2):
        most = logits.amax(dim=axis)
        quarter = most.shape[1] // 4
        sides.append(functional.softplus(-most[:, quarter:-quarter]).mean(dim=1))
    return torch.minimum(*sides).mean()


def batches(queues: 'list[Queue[Batch]]', rng: np.random.Generator) -> Iterator[Batch]:
    """Yield batches for ever, each USES times, long after each other."""
    kept: list[tuple[Batch, int]] = []
    turn = cycle(queues)
    while True:
        while len(kept) < KEPT:
            kept.append((next(turn).get(), USES))
        place = int(rng.integers(len(kept)))
        one, uses = kept.pop(place)
        if uses > 1:
            kept.append((one, uses - 1))
        yield one


def fit(source: Source, arguments: argparse.Namespace) -> None:
    """Fit, and write the mean of the weights along the last part of the way."""
    rng = np.random.default_rng(arguments.seed)
    held = [batch(source, rng) for _ in range(8)]
    net = Finder()
    if arguments.start:
        go_on(net, arguments.start)
    net = net.to(memory_format=torch.channels_last)
    print(sum(weight.numel() for weight in net.parameters()), 'weights')
    mean = copy.deepcopy(net)
    context = get_context('fork')
    # Each has its own queue, and they take turns: so the scenes come in the same order each time.
    queues = [context.Queue(8) for _ in range(arguments.workers)]
    makers = [context.Process(target=make, args=(source, arguments.seed + 1000 * (1 + i), queue),
                              daemon=True) for i, queue in enumerate(queues)]
    for maker in makers:
        maker.start()
    optimizer = torch.optim.AdamW(net.parameters(), lr=arguments.rate, weight_decay=1e-3)
    begin, steps = time.monotonic(), arguments.steps
    for step, one in zip(range(1, steps + 1), batches(queues, rng), strict=False):
        rate = min(1.0, step / WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / steps))
        for group in optimizer.param_groups:
            group['lr'] = arguments.rate * rate
        loss = cost(net, one, rng)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for average, now in zip(mean.state_dict().values(), net.state_dict().values(),
                                    strict=True):
                if average.is_floating_point():
                    average.lerp_(now, NEWEST)
        if step % 250 == 0 or step == steps:
            print(f'{step:6d}  {time.monotonic() - begin:6.0f} s  fitted {loss.item():.4f}  '
                  f'held out {held_out(mean, held):.4f}', flush=True)
            export(mean, arguments.output)
    for maker in makers:
        maker.kill()


def go_on(net: Finder, path: Path) -> None:
    """Take the weights of a file that ``export`` wrote; what they normalise is in them by now."""
    graph = onnx.load(str(path)).graph
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == 'Conv']
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    for module, node in zip(convolutions, nodes, strict=True):
        module.weight, module.bias = (
            nn.Parameter(torch.from_numpy(weights[name].copy())) for name in node.input[1:])
    for module in list(net.modules()):
        for i, layer in enumerate(module if isinstance(module, nn.Sequential) else ()):
            if isinstance(layer, nn.BatchNorm2d):
                module[i] = nn.Identity()


def held_out(net: Finder, held: list[Batch]) -> float:
    """Return the cost on batches that nothing was fitted on."""
    net.eval()
    with torch.no_grad():
        return float(np.mean([cost(net, one).item() for one in held]))


class Graph:
    """An ONNX graph in the making, of the four kinds of nodes that OpenCV 4.6 is known to read."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Add a node, and return the name of its output."""
        name = f'{kind}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, values: np.ndarray) -> str:
        """Add a weight, and return its name."""
        name = f'weight_{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def doubled(self, x: str) -> str:
        """Show each cell of x two by two times."""
        return self.node('Resize', x, '', self.weight(np.array([1, 1, 2, 2])), mode='nearest',
                         coordinate_transformation_mode='asymmetric', nearest_mode='floor')

    def through(self, module: nn.Module, x: str) -> str:
        """Lead x through a module of Finder; its batch normalisations go into its convolutions."""
        if isinstance(module, nn.Sequential):
            for layer, after in zip(module, [*module[1:], None], strict=True):
                fused = isinstance(after, nn.BatchNorm2d)
                x = self.through(nn.utils.fuse_conv_bn_eval(layer, after) if fused else layer, x)
        elif isinstance(module, Residual):
            x = self.node('Relu', self.node('Add', x, self.through(module.inner, x)))
        elif isinstance(module, nn.ReLU):
            x = self.node('Relu', x)
        elif isinstance(module, nn.Conv2d):
            x = self.node('Conv', x, *(self.weight(w.detach().numpy())
                                       for w in (module.weight, module.bias)),
                          kernel_shape=module.kernel_size, strides=module.stride,
                          dilations=module.dilation, pads=2 * module.padding)
        return x


def export(net: Finder, path: Path) -> None:
    """Write the network."""
    net.eval()
    graph = Graph()
    x = graph.through(net.to_4, 'picture')
    y = graph.through(net.to_8, x)
    z = graph.doubled(graph.through(net.to_16, y))
    y = graph.doubled(graph.through(net.at_8, graph.node('Add', y, z)))
    answer = graph.through(net.at_4, graph.node('Add', x, y))
    height, width = SHAPES[0]
    onnx.save(helper.make_model(
        helper.make_graph(
            graph.nodes, 'finder',
            [helper.make_tensor_value_info('picture', onnx.TensorProto.FLOAT,
                                           [1, 3, height, width])],
            [helper.make_tensor_value_info(answer, onnx.TensorProto.FLOAT,
                                           [1, 4, height // 4, width // 4])], graph.weights),
        opset_imports=[helper.make_opsetid('', 11)], ir_version=7), str(path))


def taken_with_frames(folder: Path) -> set[str]:
    """Name the photographs that are of one burst with a whole frame of the manifest's."""
    with (folder / 'manifest.csv').open(newline='') as file:
        rows = [(row, taken(row['path'])) for row in csv.DictReader(file)]
    frames = [(row['source'], number) for row, number in rows if row['kind'] == 'frames']
    return {Path(row['file']).name for row, number in rows if row['kind'] != 'frames'
            and any(source == row['source'] and abs(number - frame) <= BURST
                    for source, frame in frames)}


def taken(path: str) -> int:
    """Return a photograph's number in its camera, or one far from all."""
    found = re.search(r'IMG_(\d+)', path)
    return int(found[1]) if found else -1000


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('photos', nargs='+', type=Path)
    parser.add_argument('--without', type=Path, help='folder of whole frames to stay apart from')
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument('--steps', type=int, default=7500, help='batches to fit on')
    parser.add_argument('--rate', type=float, default=3e-3, help='of learning, at its highest')
    parser.add_argument('--start', type=Path, help='file to go on from; default: random weights')
    parser.add_argument('--workers', type=int, default=1, help='processes that make scenes')
    parser.add_argument('--seed', type=int, default=0)
    arguments = parser.parse_args()
    # What is forked must have no threads.
    cv2.setNumThreads(1)
    # One core fits while the other one makes scenes.
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    out = taken_with_frames(arguments.without) if arguments.without else set()
    source = read_source(arguments.photos, out, np.random.default_rng(arguments.seed))
    print(len(source.photos), 'photographs are cut out,', len(source.uncut), 'are not')
    fit(source, arguments)


if __name__ == '__main__':
    main()
