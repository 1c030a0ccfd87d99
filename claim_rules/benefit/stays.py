"""Days in a bed, and what the second and further examinations of a visit are paid (benefit law, step 8)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from claim_rules import law

Ints = npt.NDArray[np.int64]
_DAY = 1440  # minutes


def bed_days(admitted: Ints, discharged: Ints, longer: npt.NDArray[np.bool_]) -> Ints:
    """Bed days of each stay: none up to 4 hours, one under 24 hours, else the difference of days, one more if `longer`.

    admitted, discharged: NGAY_VAO_NOI_TRU and NGAY_RA in minutes since any midnight; longer: died, worse and taken home
    or transferred, or an emergency admission transferred while still in need of care. Source: law/bed_days.yaml.
    """
    limits = law.load("bed_days")
    minutes = discharged - admitted
    days = discharged // _DAY - admitted // _DAY + longer
    return np.select([minutes <= limits["none_until_minutes"], minutes < limits["one_below_minutes"]], [0, 1], days)


def exam_share(rank: Ints) -> Ints:
    """Highest TYLE_TT_DV (1/100 percent) of the examination of each rank in a visit, the first being 0."""
    ladder = np.array([*law.load("exam_ladder")["percent"], 0], dtype=np.int64) * 100
    return ladder[np.minimum(rank, len(ladder) - 1)]
