"""Points of three sizes whose bootstrap draws are given."""

import numpy as np
import pytest

from lcjax.studies.prediction.methods.points import Points

SIZE = np.array([24.0, 48.0, 72.0])


@pytest.fixture(scope="session")
def points_of():
    """Return a function from errors to points, with draws that are multiples of them."""

    def make(error, *, seed=(0, 1), factors=(0.9, 1.1), relative=0.02, size=SIZE):
        logs = np.log(error)
        level = np.log(np.asarray(factors))
        draws, replicates, share = logs + level[:, None], np.stack([error, error]), np.full((len(factors), 2), 0.5)
        spread = np.full(len(size), relative)
        return Points(size, logs, spread, draws, level, draws, draws, replicates, share, np.asarray(seed))

    return make
