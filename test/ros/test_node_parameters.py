"""Changes of parameters that only make sense together are judged together."""

from types import SimpleNamespace

import pytest
from tool_recognizer.parameters import BY_NAME
from tool_recognizer.ros.recognizer.node_parameters import judge


def judged(**changes):
    return judge([SimpleNamespace(name=name.replace('__', '.'), value=value)
                  for name, value in changes.items()], True, lambda name: BY_NAME[name].default)


def test_a_region_is_accepted_as_a_whole():
    assert judged(region__x=0.5, region__width=0.5, region__rotation=270).successful


@pytest.mark.parametrize(('changes', 'words'), [
    ({'region__x': 0.5}, 'region.x + region.width must be at most 1, got 0.5 + 1'),
    ({'region__height': 0.0}, 'region.height must be in 0.001 .. 1, got 0.0'),
    ({'region__rotation': 45}, 'region.rotation must be one of [0, 90, 180, 270], got 45'),
    ({'locate__mode': 'on'}, "locate.mode must be one of ['off', 'auto', 'ground'], got 'on'")])
def test_what_is_no_region_or_mode_is_refused_and_told(changes, words):
    answer = judged(**changes)
    assert not answer.successful
    assert words in answer.reason
