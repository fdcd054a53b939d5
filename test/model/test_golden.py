"""Golden pictures come back from the metadata as they were drawn, in the network's size."""

import numpy as np
import pytest
from tool_recognizer.core.preprocessing import InputSpec
from tool_recognizer.model.golden import golden_entry
from tool_recognizer.model.golden import golden_image
from tool_recognizer.model.golden import golden_pixels


@pytest.mark.parametrize(('size', 'rows', 'columns'), [
    ((32, 48), 2, 3), ((24, 40), [2, 1] * 8, [3, 2] * 8)], ids=str)
def test_a_golden_picture_is_enlarged_by_repeating_pixels(size, rows, columns):
    for pixels in golden_pixels(5, 3):
        entry = golden_entry(pixels, [0.5, 1.0])
        image = golden_image(entry['pixels'], InputSpec(*size))
        np.testing.assert_array_equal(image, pixels.repeat(rows, axis=0).repeat(columns, axis=1))
        assert entry['logits'] == [0.5, 1.0]
