"""Sketches: as far apart as the features that they stand for."""

import numpy as np
import pytest
from tool_recognizer.core.sketch import alike
from tool_recognizer.core.sketch import BITS
from tool_recognizer.core.sketch import NO_SKETCH
from tool_recognizer.core.sketch import sketch

GOLDEN = '04984c37c7408b1c635055dfa4579d1fe00f25ae8691292f40be9f35417e10e4'


def pair(rng, angle, size=1280):
    """Draw features with this angle between them, radians, about a mean of their own."""
    a, b = rng.standard_normal((2, size))
    a -= a.mean()
    b -= b.mean()
    b -= (a @ b) / (a @ a) * a
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return [(3.0 + x).astype(np.float32) for x in (a, np.cos(angle) * a + np.sin(angle) * b)]


def differing(one, other):
    return (int.from_bytes(one, 'big') ^ int.from_bytes(other, 'big')).bit_count()


@pytest.mark.parametrize('size', [256, 700, 1280])
@pytest.mark.parametrize('degrees', [10.0, 45.0, 90.0, 150.0])
def test_the_share_of_bits_that_differ_is_the_angle_over_pi(degrees, size):
    rng = np.random.default_rng(1)
    shares = [differing(*map(sketch, pair(rng, np.radians(degrees), size))) / BITS
              for _ in range(100)]
    assert np.mean(shares) == pytest.approx(degrees / 180.0, abs=0.02)


def test_a_picture_is_known_again_in_other_light_and_with_noise_and_others_are_not():
    rng = np.random.default_rng(2)
    pictures = rng.gamma(0.5, size=(40, 1280))
    seen = [[sketch((light * p + 0.1 * rng.standard_normal(1280)).astype(np.float32))
             for light in (1.0, 0.8)] for p in pictures]
    assert all(alike(*views) for views in seen)
    assert not any(alike(seen[i][0], seen[j][1]) for i in range(40) for j in range(i))


def test_sketches_of_a_journal_are_those_of_every_version():
    assert sketch(np.arange(300, dtype=np.float32)**2).hex() == GOLDEN


@pytest.mark.parametrize('features', [
    np.zeros(0), np.ones(BITS - 1), np.ones(1280), np.zeros(1280),
    np.append(np.arange(300.0), np.nan), np.append(np.arange(300.0), -np.inf)])
def test_features_that_say_too_little_have_no_sketch_and_are_like_no_others(features):
    none = sketch(features.astype(np.float32))
    assert none == NO_SKETCH
    assert not alike(none, none)
    assert not alike(none, sketch(np.arange(300, dtype=np.float32)))
