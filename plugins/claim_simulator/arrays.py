"""Small array arithmetic shared by the generators."""

from __future__ import annotations

import numpy as np

from claim_simulator.moments import Ints


def numbered(counts: Ints) -> Ints:
    """0, 1, ..., n-1 for each n of counts, one after the other."""
    counts = np.asarray(counts)
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
