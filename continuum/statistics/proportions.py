"""How large a share may be when few or none of the items showed it."""

from scipy import special


def clopper_pearson_upper(count: int, trials: int, level: float = 0.95) -> float:
    """The one-sided upper bound of a share of independent trials (Clopper and Pearson 1934, Biometrika 26, 404-413).

    With 0 of 60 it is 0.049: the rule of three.

    Args:
        count: trials that showed it, 0 to `trials`.
        trials: at least 1.
        level: the chance, at least, that the bound is not below the true share.

    Raises:
        ValueError: there are no trials, or more that showed it than there are.
    """
    if trials < 1 or not 0 <= count <= trials:
        raise ValueError(f"a share needs at least one trial and a count up to their number, found {count} of {trials}")
    return 1.0 if count == trials else float(special.betaincinv(count + 1, trials - count, level))
