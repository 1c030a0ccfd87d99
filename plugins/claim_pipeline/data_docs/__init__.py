"""Data Docs: pages on what Great Expectations found in each delivery, by month and facility, as plain files.

    index.html                              the months
    <yyyymm>/index.html                     the facilities of a month, by code; page-<n>.html: further ones
    <yyyymm>/<MA_CSKCB>/index.html          the newest deliveries of one of them; page-<n>.html: earlier ones
    <yyyymm>/<MA_CSKCB>/<delivery>.html     what was expected of one delivery, and what was not met
    static/data-docs.css

The pages ask nothing of any host and run no script. Beside them lie the entries that the indexes are made from
(entries.jsonl, facilities.json, months.json), so that a batch costs what it brings and not what is stored. They hold
no personal data: of a claim only MA_LK and STT.
"""

from claim_pipeline.data_docs.entries import Entry, entry_of, month_of
from claim_pipeline.data_docs.site import STYLE, Site

__all__ = ["STYLE", "Entry", "Site", "entry_of", "month_of"]
