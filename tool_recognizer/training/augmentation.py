"""
Augmented views of a picture: what a bench camera might have seen instead.

From few photographs a network learns the bench and the light rather than the tool. So each is
shown turned, moved, nearer and farther, under other light, blurred, noisy, in grey, behind a hand,
and cut out and laid on another ground. Everything is drawn from the given generator, hence
repeatable.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from tool_recognizer.core.preprocessing import Pixels

Mask = NDArray[np.uint8]

# Shapes of frame (height / width), as cameras and product photographs have them.
SHAPES = (3 / 4, 9 / 16, 1.0, 4 / 3, 2 / 3, 1.0)
# The longer side of an augmented frame, pixels: enough for the network, cheap to work on.
LONG_SIDE = 288
# How often a strong view shows the tool small, with a broad border, and behind fingers.
SMALL, HELD = 0.2, 0.15


def cut_out(pixels: Pixels, side: int = 160) -> Mask | None:
    """
    Find the object that lies on the middle of an even ground.

    The ground's colours are taken from the margin, and GrabCut (Rother, Kolmogorov, Blake, 2004)
    finds the object's border on a reduced picture.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    side : size at which the border is searched, pixels

    Returns
    -------
    (H, W) uint8, 255 on the object with a soft border, or None if nothing stands out clearly

    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    small = cv2.resize(pixels, (max(8, round(width * scale)), max(8, round(height * scale))),
                       interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    margin = np.ones((rows, columns), bool)
    inset = max(2, min(rows, columns) // 14)
    margin[inset:-inset, inset:-inset] = False
    ground = np.median(lab[margin], axis=0)
    distance = np.linalg.norm(lab - ground, axis=2)
    spread = float(np.percentile(distance[margin], 75))
    if spread > 30.0:
        return None
    threshold = max(14.0, 2.5 * spread)
    labels = np.where(distance > threshold, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[margin & (distance <= threshold)] = cv2.GC_BGD
    if not 0.01 < float(np.mean(labels == cv2.GC_PR_FGD)) < 0.7:
        return None
    cv2.setRNGSeed(0)
    model = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(small, labels, (0, 0, 1, 1), model[0], model[1], 3, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    opened = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    if count < 2:
        return None
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    object_mask = (parts == best).astype(np.uint8)
    area = float(object_mask.mean())
    # A piece of the margin that runs all around is ground of another colour, not an object.
    if not 0.012 < area < 0.55 or float(object_mask[margin].mean()) > 0.12:
        return None
    soft = cv2.GaussianBlur(object_mask * 255, (0, 0), 0.8)
    full = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, dtype=np.uint8)


def augment(pixels: Pixels, rng: np.random.Generator, *, mask: Mask | None = None,
            ground: Pixels | None = None, gentle: bool = False) -> Pixels:
    """
    Change a picture to what another camera, in another place, might have seen.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    rng : the source of all randomness
    mask : (H, W) uint8 from ``cut_out``; with it the object is laid on ``ground``
    ground : (any size, 3) uint8 RGB; without a mask it shows where the turned picture ends
    gentle : only what does not change the view much: for held-out pictures, to stand for a
        camera's ordinary variation

    Returns
    -------
    (h, w, 3) uint8 RGB, of another size and shape

    """
    if mask is not None and ground is not None:
        pixels, mask = _trimmed(pixels, mask)
    if gentle:
        shape = pixels.shape[0] / pixels.shape[1]
        angle, zoom, shift = rng.uniform(-8, 8), rng.uniform(0.9, 1.08), 0.03
    else:
        shape = float(rng.choice(SHAPES))
        if rng.random() < 0.25:
            shape = pixels.shape[0] / pixels.shape[1]
        turn = rng.uniform(0, 360) if rng.random() < 0.6 else rng.normal(0, 8)
        angle = 90 * rng.integers(4) + turn
        # A turned photograph may lose its corners, which are ground; an object may not.
        zoom, shift = float(np.exp(rng.normal(0.15 if mask is None else -0.1, 0.22))), 0.08
        if rng.random() < SMALL:
            zoom *= rng.uniform(0.55, 0.85)
    shape = min(2.0, max(0.5, shape))
    width = round(LONG_SIDE / max(1.0, shape))
    height = round(width * shape)
    matrix = _placement(pixels.shape[:2], (height, width), angle, zoom, shift, rng,
                        squeeze=0.0 if gentle else 0.12, flip=not gentle)
    source = _reduced(pixels, matrix)
    scaled = matrix.copy()
    scaled[:, :2] *= pixels.shape[1] / source.shape[1]
    if ground is None:
        frame = _warped(source, scaled, height, width, cv2.BORDER_REPLICATE)
        if not gentle and rng.random() < 0.5:
            # Replication smears the border over the corners; use its median colour instead.
            margin = np.median(source[[0, -1]].reshape(-1, 3), axis=0)
            ground = np.full((8, 8, 3), margin, np.uint8)
    if ground is not None:
        frame = _warped(source, scaled, height, width, cv2.BORDER_REPLICATE)
        cover = mask if mask is not None else np.full(pixels.shape[:2], 255, np.uint8)
        alpha = _warped(np.asarray(cv2.resize(cover, source.shape[1::-1],
                                              interpolation=cv2.INTER_AREA), np.uint8),
                        scaled, height, width, cv2.BORDER_CONSTANT)
        frame = _lay_on(frame, alpha, _window(ground, height, width, rng),
                        rng if mask is not None else None)
    if not gentle and rng.random() < HELD:
        frame = _held(frame, rng)
    frame = _light(frame, rng, 0.4 if gentle else 1.0)
    return _camera(frame, rng, 0.3 if gentle else 1.0)


def _trimmed(pixels: Pixels, mask: Mask) -> tuple[Pixels, Mask]:
    """Cut the picture and its mask down to the object."""
    rows, columns = np.nonzero(mask.max(axis=1))[0], np.nonzero(mask.max(axis=0))[0]
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.ascontiguousarray(pixels[inside]), np.ascontiguousarray(mask[inside])


def _warped(pixels: Pixels, matrix: NDArray[np.float64], height: int, width: int,
            border: int) -> Pixels:
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR,
                                     borderMode=border), np.uint8)


def _placement(source: tuple[int, ...], target: tuple[int, int], angle: float, zoom: float,
               shift: float, rng: np.random.Generator, *, squeeze: float,
               flip: bool) -> NDArray[np.float64]:
    """Affine map from the source's to the frame's coordinates: all of it visible at zoom 1."""
    rows, columns = source
    height, width = target
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    stretch = np.exp(rng.normal(0, squeeze)) if squeeze else 1.0
    shear = rng.normal(0, squeeze / 2) if squeeze else 0.0
    linear = rotation @ np.array([[stretch, shear], [0.0, 1.0 / stretch]])
    if flip and rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    box = np.abs(linear) @ np.array([columns, rows])
    linear = linear * zoom * 0.97 * min(width / box[0], height / box[1])
    centre = np.array([width / 2, height / 2]) + rng.uniform(-shift, shift, 2) * (width, height)
    offset = centre - linear @ np.array([columns / 2, rows / 2])
    return np.column_stack([linear, offset])


def _reduced(pixels: Pixels, matrix: NDArray[np.float64]) -> Pixels:
    """Reduce a picture that the map will reduce: a warp alone would alias."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale > 0.7:
        return pixels
    height, width = pixels.shape[:2]
    size = max(2, round(width * scale * 1.2)), max(2, round(height * scale * 1.2))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _window(ground: Pixels, height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Cut a piece of the frame's shape out of a ground, at a random place and size."""
    rows, columns = ground.shape[:2]
    scale = min(rows / height, columns / width) * rng.uniform(0.6, 1.0)
    h, w = max(1, int(height * scale)), max(1, int(width * scale))
    top, left = rng.integers(rows - h + 1), rng.integers(columns - w + 1)
    piece = cv2.resize(ground[top:top + h, left:left + w], (width, height),
                       interpolation=cv2.INTER_LINEAR)
    return np.asarray(piece[:, ::rng.choice((-1, 1))], dtype=np.uint8)


def _lay_on(frame: Pixels, alpha: Mask, ground: Pixels,
            shadow: np.random.Generator | None) -> Pixels:
    """Lay what ``alpha`` shows on the ground, with the shadow that a lamp would throw."""
    base = ground.astype(np.float32)
    if shadow is not None and shadow.random() < 0.6:
        depth = shadow.uniform(1, 6)
        move = np.array([[1, 0, shadow.normal(0, depth)], [0, 1, shadow.normal(0, depth)]])
        moved = _warped(alpha, move, alpha.shape[0], alpha.shape[1], cv2.BORDER_CONSTANT)
        shade = cv2.GaussianBlur(moved, (0, 0), shadow.uniform(1, 5))
        base *= 1 - shadow.uniform(0.15, 0.6) * (shade.astype(np.float32) / 255)[..., np.newaxis]
    a = (alpha.astype(np.float32) / 255)[..., np.newaxis]
    return np.asarray(frame * a + base * (1 - a), np.float32).astype(np.uint8)


def _held(frame: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay one to four fingers over the frame, side by side, from one of its borders."""
    height, width = frame.shape[:2]
    skin = rng.uniform(0.35, 1.0) * np.array([235.0, 190.0, 160.0]) + rng.normal(0, 8, 3)
    thick = rng.uniform(0.06, 0.13) * min(height, width)
    tip = rng.uniform(0.3, 0.7, 2) * (width, height)
    turn = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    held = frame.copy()
    for finger in range(rng.integers(1, 5)):
        near = tip + across * thick * 1.05 * finger + along * rng.normal(0, 0.4 * thick)
        far = near + along * 2 * max(height, width)
        first, last = np.round(near).astype(int).tolist(), np.round(far).astype(int).tolist()
        shade = rng.uniform(0.85, 1.0)
        cv2.line(held, first, last, (0.7 * shade * skin).tolist(), max(3, round(thick)),
                 cv2.LINE_AA)
        cv2.line(held, first, last, (shade * skin).tolist(), max(2, round(0.8 * thick)),
                 cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(held, (0, 0), 0.8), np.uint8)


def _light(frame: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Exposure, contrast, colour of the light, saturation, uneven light; grey at times."""
    x = frame.astype(np.float32) / 255
    if rng.random() < 0.18 * strength:
        x = np.repeat((x @ np.array([0.299, 0.587, 0.114], np.float32))[..., np.newaxis], 3, 2)
    else:
        grey = x.mean(axis=2, keepdims=True)
        x = grey + (x - grey) * np.float32(np.exp(rng.normal(0, 0.25 * strength)))
        x = x * np.exp(rng.normal(0, 0.06 * strength, 3)).astype(np.float32)
        if rng.random() < 0.25 * strength:
            # Another paint on the handle: a tool is not its colour.
            x = x[..., rng.permutation(3)]
    if rng.random() < 0.4 * strength:
        height, width = x.shape[:2]
        slope = rng.normal(0, 0.35 * strength, 2)
        ramp = (np.linspace(-1, 1, height)[:, np.newaxis] * slope[0]
                + np.linspace(-1, 1, width) * slope[1])
        x = x * np.clip(1 + ramp, 0.4, 1.6).astype(np.float32)[..., np.newaxis]
    x = np.clip(x, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.25 * strength)))
    middle = np.float32(rng.uniform(0.3, 0.7))
    contrast = np.float32(np.exp(rng.normal(0, 0.2 * strength)))
    gain = np.float32(np.exp(rng.normal(0, 0.18 * strength)))
    x = ((x - middle) * contrast + middle) * gain
    return np.asarray(np.clip(x * 255, 0, 255), dtype=np.float32).astype(np.uint8)


def _camera(frame: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Defocus or motion, a coarse sensor, noise, compression."""
    if rng.random() < 0.35 * strength:
        if rng.random() < 0.5:
            frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.4, 2.0)), np.uint8)
        else:
            length = int(rng.integers(2, 8))
            kernel = np.zeros((length, length), np.float32)
            kernel[length // 2] = 1 / length
            turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5),
                                           rng.uniform(0, 180), 1)
            turned = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
            frame = np.asarray(cv2.filter2D(frame, -1, turned / max(turned.sum(), 1e-6)),
                               np.uint8)
    if rng.random() < 0.25 * strength:
        height, width = frame.shape[:2]
        factor = rng.uniform(0.35, 0.8)
        small = cv2.resize(frame, (round(width * factor), round(height * factor)),
                           interpolation=cv2.INTER_AREA)
        frame = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR),
                           np.uint8)
    if rng.random() < 0.35 * strength:
        noise = rng.standard_normal(frame.shape, dtype=np.float32) * rng.uniform(1, 12)
        frame = np.clip(frame + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4 * strength:
        quality = int(rng.integers(25, 90))
        _, data = cv2.imencode('.jpg', frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        frame = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)
    return frame
