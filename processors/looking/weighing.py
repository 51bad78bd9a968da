"""What the full model's answer does to a confidence: one rule, and the similarities it goes by.

agreement = (similarity - middle) / half the width of the scale, kept within -1 and 1
confidence = confidence + agreement * width of the grey zone, kept within 0 and `MOST_SURE`

So full agreement takes any grey finding out of the zone above, full disagreement below, and a similarity in the
middle of the scale leaves it as it is. Where likeness speaks against a finding, unlikeness does not speak for it: an
answer may be a list, a poem or a figure, and nothing like its task.

The similarities were measured on the development corpora with all-MiniLM-L6-v2.
SAME: rewordings of one question or paragraph .79 to .95, paragraphs of one kind about other things .53 to .62 (for
which the table says .84 to .89); consecutive sayings in passed runs of real agents which the table calls alike (.7
and more) .62 to .72 in the median.
ABOUT and AWAY: hand-written derailments .08 to .74, median .44; answers on their task .3 to .81, median .65; the
nearest saying to the request in passed runs of real agents .53 and more in 95 of 100. Of what `derailment` alarms at,
AWAY clears 59 of 180 chats that are none, and 1 of 9 hand-written derailments; 76 of the chats are below .4 as well as
7 of the 9, which is why that counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from schemas.detection import GREY_ZONE

MOST_SURE = 0.78
"""Confidence is never more by this, so that what vectors say mends nothing by itself; as with the detectors."""
WIDTH = GREY_ZONE[1] - GREY_ZONE[0]


class Scale(NamedTuple):
    """From which similarity on two texts are surely unlike, and surely alike.

    `speaks_for`: whether likeness is what the finding says, or only speaks against it. `figure` makes one similarity of
    those of all pairs.
    """

    name: str
    unlike: float
    alike: float
    speaks_for: bool
    figure: Callable[[Sequence[float]], float]

    def agreement(self, similarities: Sequence[float]) -> float:
        """Say how far the pairs speak for the finding (1) or against it (-1); 0 where they say nothing."""
        middle, half = (self.alike + self.unlike) / 2, (self.alike - self.unlike) / 2
        found = max(-1.0, min(1.0, (self.figure(similarities) - middle) / half))
        return found if self.speaks_for else min(0.0, -found)


SAME = Scale("same", 0.6, 0.8, speaks_for=True, figure=median)
"""Whether texts say the same in other words."""
ABOUT = Scale("about", 0.4, 0.6, speaks_for=True, figure=median)
"""Whether texts are about the same thing."""
AWAY = Scale("away", 0.4, 0.6, speaks_for=False, figure=max)
"""Whether a run has spoken of its task: one text that does is enough."""


def moved(confidence: float, agreement: float) -> float:
    """Give the confidence after a second look."""
    return round(max(0.0, min(max(MOST_SURE, confidence), confidence + agreement * WIDTH)), 4)
