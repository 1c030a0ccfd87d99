"""The statistics of a facility-month: a profile that adds up (cells), what it says (moments, quantiles), and when that
is unusual (drift). Pure: frames in, frames out. These figures are statistics and may be floats; no payment rests on
them.
"""
