"""
Fine-tune the backbone of the default model on photographs and drawn tools.

Needed only to make the default model again; see docs/model.md for the commands before and after
it. It needs the packages of tools/requirements.txt, PyTorch among them, and no GPU: on two cores
it takes about a quarter of an hour. ::

    python3 tools/fine_tune.py PHOTOS --output tuned.pt

What is learned: the later blocks, and a head with one column per label and one for none of them,
that starts from ImageNet's. Every batch holds each column equally often, photographs and drawn
pictures about equally. Two things keep the network from learning these few benches by heart:
its answers to the 1,000 ImageNet classes are held to what they were on the same pictures (Li and
Hoiem, Learning without forgetting, 2016), and the weights are averaged along the way. The
photographs of one fold are left out, and the file says which were used, so that `train` holds out
only what the backbone has not seen.
"""

import argparse
from collections.abc import Iterator
import copy
from pathlib import Path
import sys
import time

import cv2
from export_backbone import first_head
from export_backbone import LABELS
from export_backbone import load_weights
from export_backbone import MEAN
from export_backbone import SCALE
from export_backbone import SIDE
import numpy as np
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.pictures.scene import draw_ground
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.pictures.tools import OTHER
from tool_recognizer.pictures.tools import TOOLS
from tool_recognizer.training.augmentation import augment
from tool_recognizer.training.augmentation import cut_out
from tool_recognizer.training.fit import folds
from tool_recognizer.training.photos import read_photos
from tool_recognizer.training.progress import Progress
import torch
import torch.nn.functional as functional

BATCH = 32
WARM_UP = 50
# Temperature at which the old answers are kept, as in the paper.
SOFT = 2.0
DROPOUT = 0.2
# A picture is drawn once and augmented anew whenever it comes.
DRAWN_SIDE = 256


class Pictures(torch.utils.data.IterableDataset):
    """Endless batches: uint8 pictures (BATCH, 224, 224, 3) and their columns."""

    def __init__(self, photos: list, drawn: np.ndarray, share: float, fits: list[InputSpec],
                 seed: int) -> None:
        columns = [*TOOLS, 'other']
        self.photos = [[(p.pixels(), None) for p in photos if p.label == c] for c in columns]
        self.photos = [[(p, cut_out(p)) for p, _ in group] for group in self.photos]
        self.drawn, self.share, self.fits, self.seed = drawn, share, fits, seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Make batches for ever."""
        rng = np.random.default_rng(self.seed)
        while True:
            pictures, columns = [], np.arange(BATCH) % len(self.photos)
            for column in columns:
                picture = self._one(int(column), rng)
                pictures.append(fit_image(picture, self.fits[rng.integers(len(self.fits))]))
            yield torch.from_numpy(np.stack(pictures)), torch.from_numpy(columns)

    def _one(self, column: int, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < self.share:
            place = column + len(self.photos) * rng.integers(len(self.drawn) // len(self.photos))
            return augment(self.drawn[place], rng, gentle=rng.random() < 0.5)
        pixels, mask = self.photos[column][rng.integers(len(self.photos[column]))]
        if rng.random() < 0.15:
            return augment(pixels, rng, gentle=True)
        if mask is not None and rng.random() < 0.5:
            return augment(pixels, rng, mask=mask, ground=draw_ground(rng, 224, 288))
        return augment(pixels, rng)


class Net(torch.nn.Module):
    """EfficientNet-Lite0 in two parts: what stays as it is, and what is tuned."""

    def __init__(self, weights: dict, first: int) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet
        self.body = EfficientNet.from_name('efficientnet-lite0')
        self.body.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        self.first = first
        self.eval()  # batch normalisation keeps ImageNet's statistics
        for parameter in self.parameters():
            parameter.requires_grad = False

    def tuned(self) -> dict[str, torch.nn.Parameter]:
        """Give the parameters that are tuned, by their names in the state dict."""
        later = tuple(f'_blocks.{i}.' for i in range(self.first, len(self.body._blocks)))
        return {name: p for name, p in self.body.named_parameters()
                if name.startswith((*later, '_conv_head', '_bn1'))}

    def low(self, pictures: torch.Tensor) -> torch.Tensor:
        """Run the part that stays."""
        x = (pictures.permute(0, 3, 1, 2).float() - MEAN) / SCALE
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.body._swish(self.body._bn0(self.body._conv_stem(x)))
        for block in self.body._blocks[:self.first]:
            x = block(x)
        return x

    def high(self, x: torch.Tensor) -> torch.Tensor:
        """Run the part that is tuned, up to the features (N, 1280)."""
        for block in self.body._blocks[self.first:]:
            x = block(x)
        return self.body._swish(self.body._bn1(self.body._conv_head(x))).mean((2, 3)).float()

    def imagenet(self, features: torch.Tensor) -> torch.Tensor:
        """Give the logits of ImageNet's 1,000 classes; their weights are never tuned."""
        return functional.linear(features, self.body._fc.weight, self.body._fc.bias)


def draw_pool(number: int, seed: int, progress: Progress) -> np.ndarray:
    """Draw pictures, the columns in turn: (number, 256, 256, 3) uint8."""
    rng = np.random.default_rng(seed)
    kinds = [*TOOLS, None]
    pool = []
    for index in progress.over('drawing', range(number), number):
        kind = kinds[index % len(kinds)] or OTHER[index // len(kinds) % len(OTHER)]
        pool.append(draw_tool(kind, rng, DRAWN_SIDE, DRAWN_SIDE))
    return np.stack(pool)


def fine_tune(net: Net, old: Net, head: torch.nn.Linear, batches: Iterator,
              arguments: argparse.Namespace, progress: Progress) -> None:
    """Tune the network and the head, and write the averaged weights to the output."""
    parameters = [*net.tuned().values(), *head.parameters()]
    for parameter in parameters:
        parameter.requires_grad = True
    mean = [p.detach().clone() for p in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=arguments.rate, weight_decay=0.0)
    labels = head.out_features - 1
    for step in progress.over('tuning', range(1, arguments.steps + 1), arguments.steps):
        pictures, columns = next(batches)
        rate = min(1.0, step / WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / arguments.steps))
        optimiser.param_groups[0]['lr'] = arguments.rate * rate
        with torch.autocast('cpu', torch.bfloat16):
            with torch.no_grad():
                low = net.low(pictures)
                before = functional.softmax(old.imagenet(old.high(low)) / SOFT, 1)
            features = net.high(low)
        logits = head(functional.dropout(features, DROPOUT))
        known = columns < labels
        loss = functional.cross_entropy(logits, columns) + 0.5 * functional.cross_entropy(
            logits[known][:, :labels], columns[known])
        kept = functional.kl_div(functional.log_softmax(net.imagenet(features) / SOFT, 1), before,
                                 reduction='batchmean') * SOFT ** 2
        optimiser.zero_grad()
        (loss + arguments.keep * kept).backward()
        optimiser.step()
        share = 1 - min(0.99, step / (step + 10))
        with torch.no_grad():
            for average, parameter in zip(mean, parameters, strict=True):
                average.lerp_(parameter, share)
        if step % arguments.every == 0 or step == arguments.steps:
            progress.say(f'\rstep {step}: NLL {float(loss):.3f}, forgotten {float(kept):.3f}')
            save(net, head, dict(zip([*net.tuned(), 'w', 'b'], mean, strict=True)), arguments)


def save(net: Net, head: torch.nn.Linear, mean: dict[str, torch.Tensor],
         arguments: argparse.Namespace) -> None:
    """Write the averaged weights, and what they have seen."""
    state = {name: value.clone().contiguous() for name, value in net.body.state_dict().items()}
    state.update({name: mean[name].clone().contiguous() for name in net.tuned()})
    torch.save({'state': state, 'head.weight': mean['w'].clone(), 'head.bias': mean['b'].clone(),
                'labels': list(TOOLS), 'seen': arguments.seen}, arguments.output)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', nargs='+', type=Path, help='folders of labelled photographs')
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument('--steps', type=int, default=600, help='batches of 32')
    parser.add_argument('--rate', type=float, default=5e-5, help='greatest learning rate')
    parser.add_argument('--first', type=int, default=5, help='first block that is tuned, of 16')
    parser.add_argument('--keep', type=float, default=1.0, help='weight of what was known before')
    parser.add_argument('--drawn', type=int, default=3200, help='drawn pictures')
    parser.add_argument('--share', type=float, default=0.4, help='of drawn pictures in a batch')
    parser.add_argument('--fold', type=int, default=0, help='fold of photographs to leave out')
    parser.add_argument('--every', type=int, default=100, help='steps between two saves')
    parser.add_argument('--seed', type=int, default=1)
    arguments = parser.parse_args()
    progress = Progress(False)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(2)
    # The loader forks: a copy of OpenCV's thread pool would wait for threads that are not there.
    cv2.setNumThreads(1)
    photos = read_photos(arguments.photos, progress)
    columns = np.array([[*TOOLS, 'other'].index(p.label) for p in photos])
    dealt = folds(photos, columns, arguments.seed)
    photos = [p for p in photos if dealt[p.group] != arguments.fold]
    arguments.seen = [p.digest for p in photos]
    progress.say(f'{len(photos)} photographs, {len(columns) - len(photos)} left out')
    weights = load_weights(None)
    old = Net(weights, arguments.first).to(memory_format=torch.channels_last)
    net = copy.deepcopy(old)
    weight, bias = first_head(weights)
    chosen = [*(list(LABELS).index(tool) for tool in TOOLS), -1]
    head = torch.nn.Linear(weight.shape[0], len(chosen))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight[:, chosen].T))
        head.bias.copy_(torch.from_numpy(bias[chosen]))
    # Mostly as the model will see frames; at times stretched, which is another view of a shape.
    fits = [InputSpec(SIDE, SIDE, 'letterbox')] * 2 + [InputSpec(SIDE, SIDE, 'stretch')]
    pictures = Pictures(photos, draw_pool(arguments.drawn, arguments.seed, progress),
                        arguments.share, fits, arguments.seed)
    batches = iter(torch.utils.data.DataLoader(pictures, batch_size=None, num_workers=1,
                                               prefetch_factor=8))
    begin = time.monotonic()
    fine_tune(net, old, head, batches, arguments, progress)
    progress.say(f'{arguments.output}: tuned in {time.monotonic() - begin:.0f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
