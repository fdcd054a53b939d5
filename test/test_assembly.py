"""From parameters to an engine: what is in charge is what was chosen, or nothing."""

import numpy as np
import pytest
from tool_recognizer.assembly import make_engine
from tool_recognizer.model.store import ModelStore


def test_a_chosen_model_that_was_changed_in_the_store_is_not_put_in_charge(write_model, tmp_path):
    store = ModelStore(tmp_path / 'models')
    first, second = (store.add(write_model(f'{n}.onnx', weights=n * np.eye(3)), 'anna')
                     for n in (1, 2))
    store.choose('1', 'anna')
    parameters = {'models.path': str(store.path)}
    assert make_engine(parameters).model.digest == first.digest
    first.model.write_bytes(second.model.read_bytes())
    with pytest.raises(ValueError, match='has changed since it came to the store'):
        make_engine(parameters)
    # What a parameter names is taken as it is.
    parameters['model_path'] = str(first.model)
    assert make_engine(parameters).model.digest == second.digest
