"""How an error rate is spent on one candidate after another that is measured on the same questions.

Twenty candidates, none good enough, are twenty chances that one is approved by luck. The k-th candidate on a golden set is
therefore approved at the level alpha * 6 / (pi^2 k^2). These levels sum to alpha over as many candidates as there will ever be,
so by Bonferroni's inequality the chance that any candidate at the floor is approved is at most alpha, however much the
candidates resemble each other. Nothing has to be declared in advance, and no candidate is ever refused a measurement.

Why the square. What a level costs is the number of groups an equal model needs to be approved 4 times in 5, (z + 0.84)^2 in
units of its variance; for small levels that grows by 2 / level for each unit of level that is given up. The total over a set's
life is therefore least when levels are spent in proportion to how often a set is used at least k times, and 1 / k^2 is between
what falls slower and takes from the first and what falls faster and leaves nothing for the fourth. Groups needed, as a multiple
of what the whole alpha of 0.05 would need, computed from the formula:

| levels in proportion to | 1st | 2nd | 3rd | 5th | 10th | 20th | spent on the first 20 |
|---|---|---|---|---|---|---|---|
| 1 / k^1.5 | 1.37 | 1.77 | 2.01 | 2.30 | 2.69 | 3.08 | 0.0415 |
| **1 / k^2** | 1.19 | 1.73 | 2.04 | 2.43 | 2.95 | 3.47 | 0.0485 |
| 1 / k^3 | 1.07 | 1.87 | 2.34 | 2.91 | 3.69 | 4.46 | 0.0500 |
| 1 / 2^k | 1.27 | 1.54 | 1.80 | 2.33 | 3.63 | 6.17 | 0.0500 |
| 1, twenty declared | 2.15 | 2.15 | 2.15 | 2.15 | 2.15 | 2.15 | 0.0500 |

Only approvals spend. A candidate is always blocked at the full level: were that spent too, the twentieth try would be the
hardest one to block.
"""

import math


def approval_level(alpha: float, position: int) -> float:
    """The level at which the candidate at a position, counted from 1, is approved.

    Raises:
        ValueError: the position is below 1, or alpha is not between 0 and 1.
    """
    if position < 1 or not 0 < alpha < 1:
        raise ValueError(f"a level needs a position from 1 and an alpha between 0 and 1, found {position} and {alpha}")
    return alpha * 6 / (math.pi * position) ** 2
