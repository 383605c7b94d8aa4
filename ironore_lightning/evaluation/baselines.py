"""Baseline forecasts on the same samples, from the data known at each origin."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ironore_lightning.errors import LeakageError
from ironore_lightning.evaluation.intervals import ewma_volatility

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Windows = npt.NDArray[np.float32]

STRENGTHS = 10.0 ** np.arange(4.0, -3.5, -0.5)
"""Penalties on squared weights per training sample; the strongest is first and wins ties."""

LARGEST_FIT = 20_000
"""Newest training samples that ridge, boosting, NLinear and GARCH are fitted on; with 240 numbers
per window, their copies take about 150 MB."""

CHUNK = 4096
"""Windows flattened at once for a forecast."""

FEWEST_KNOWN = 30
"""Fewest known outcomes on which an expanding regression is fitted; before, it forecasts zero."""

RIDGE_LAGS = 20
"""Newest outcomes that the expanding ridge regression reads, as many as a window has days."""

RIDGE_STRENGTH = 1.0
"""Its penalty per outcome and mean square of a lag, which halves the weight of each lag."""

MOST_TREES = 60
TREE_DEPTH = 3
TREE_STEP = 0.05
TREE_SEED = 0

FEWEST_GARCH_OUTCOMES = 100
"""Fewest training outcomes for the four parameters of a GARCH model."""

SMALLEST_SCALE = 1e-6
"""Per cent; keeps a scale positive where outcomes are constant."""


@dataclass(frozen=True)
class Samples:
    """All samples of a run in time order.

    The outcome of sample i is known at sample i + `horizon`; where the split left samples out, it
    was known earlier, so this is conservative.

    Attributes:
        windows: Scaled, as the network reads them, without gaps, shape (N, L, F). May be a view.
        actual: Returns, shape (N,), per cent.
        segment: `train`, `val` or `test`, shape (N,), at least one sample of the first two.
        horizon: Days that a return reaches (H).

    Raises:
        LeakageError: If the segments are not in time order.
    """

    windows: Windows
    actual: Floats
    segment: npt.NDArray[np.str_ | np.object_]
    horizon: int

    def __post_init__(self) -> None:
        """Raise `LeakageError` if the segments are not in time order."""
        assert len(self.windows) == len(self.actual) == len(self.segment)
        train, val, test = (self.segment == name for name in ("train", "val", "test"))
        assert self.horizon >= 1
        assert min(train.sum(), val.sum()) >= 1
        assert (train | val | test).all()
        if (np.diff(val + 2 * test.astype(np.intp)) < 0).any():
            raise LeakageError("segments of the samples are not in the order train, val, test")


@dataclass(frozen=True)
class Spread:
    """Volatility forecasts, as the scale of a distribution around zero.

    Attributes:
        scale: Shape (N,), per cent, positive: of the Student t with `degrees` of freedom, or the
            standard deviation of the normal distribution. NaN before it is known.
        degrees: Degrees of freedom, above 2; None for the normal distribution.
    """

    scale: Floats
    degrees: float | None


class GarchParameters(NamedTuple):
    """The variance after a return y and a variance v is ``constant + weight * y**2 + decay * v``.

    Attributes:
        constant: Per cent squared.
        weight: Of the newest squared return.
        decay: Of the previous variance.
        degrees: Degrees of freedom of the Student t.
    """

    constant: float
    weight: float
    decay: float
    degrees: float


def point_baselines(samples: Samples) -> pd.DataFrame:
    """Return the forecasts of nine baselines for every sample.

    - `zero`: a return of zero.
    - `expanding mean`: mean of all outcomes known at the origin.
    - `majority sign`: the more frequent sign of the training outcomes, whose share of those that
      moved is p, times their mean absolute value times 2p - 1.
    - `last return`: the newest outcome known at the origin.
    - `AR(1)`, `AR(5)`: least squares on the one or five newest outcomes known at the origin.
    - `ridge`: the flattened window, each column standardised by the training samples.
    - `gradient boosting`: at most 60 trees of depth 3 on the flattened window.
    - `NLinear`: as ridge, on the window minus its last row. The paper adds the last value again;
      a return is no level, so this does not.

    All are fitted on training samples only. Validation samples choose the strength of `ridge` and
    `NLinear` and the number of trees, so validation forecasts of these three are too good; test
    outcomes choose nothing. Forecasts of training samples show the fit, not skill. The first
    samples, which know too few outcomes, are forecast as zero.

    Overlapping returns (horizon > 1) are used as they are, known `horizon` samples later.

    Args:
        samples: N samples.

    Returns:
        Forecasts, shape (N, 9), per cent, rows as in `samples`, columns in the order above.

    References:
        Expanding mean: Campbell & Thompson (2008), "Predicting excess stock returns out of
        sample", Review of Financial Studies 21(4). Ridge: Hoerl & Kennard (1970), "Ridge
        regression", Technometrics 12(1). NLinear: Zeng, Chen, Zhang & Xu (2023), "Are
        transformers effective for time series forecasting?", AAAI 37(9).
    """
    horizon, actual = samples.horizon, samples.actual
    means = np.cumsum(actual) / np.arange(1, len(actual) + 1)
    # At this size one thread is faster, and it repeats bit for bit.
    with threadpool_limits(limits=1):
        forecasts = {
            "zero": np.zeros(len(actual)),
            "expanding mean": _lagged(means, horizon),
            "majority sign": np.full(len(actual), _majority(actual[samples.segment == "train"])),
            "last return": _lagged(actual, horizon),
            "AR(1)": _autoregression(samples, order=1),
            "AR(5)": _autoregression(samples, order=5),
            "ridge": _ridge(samples, _flattened),
            "gradient boosting": _boosting(samples),
            "NLinear": _ridge(samples, _since_last_row),
        }
    return pd.DataFrame(forecasts)


def outcome_baselines(actual: Floats, *, horizon: int) -> pd.DataFrame:
    """Return the forecasts of the seven baselines that need outcomes only.

    `zero`, `expanding mean` and `last return` are those of `point_baselines`. `majority sign`,
    `AR(1)`, `AR(5)` and `ridge` (on the 20 newest known outcomes) are fitted anew for each sample,
    on all outcomes known at its origin, so no training segment is needed.

    Args:
        actual: Outcomes of consecutive samples, shape (N,), per cent.
        horizon: Samples after which an outcome is known (H).

    Returns:
        Forecasts, shape (N, 7), per cent; zero where too few outcomes are known.
    """
    counts = np.arange(1, len(actual) + 1)
    moves = np.maximum(np.cumsum(actual != 0), 1)
    majority = np.cumsum(np.abs(actual)) / counts * np.cumsum(np.sign(actual)) / moves
    return pd.DataFrame(
        {
            "zero": np.zeros(len(actual)),
            "expanding mean": _lagged(np.cumsum(actual) / counts, horizon),
            "majority sign": _lagged(majority, horizon),
            "last return": _lagged(actual, horizon),
            "AR(1)": _expanding_regression(actual, order=1, horizon=horizon, strength=0.0),
            "AR(5)": _expanding_regression(actual, order=5, horizon=horizon, strength=0.0),
            "ridge": _expanding_regression(
                actual, order=RIDGE_LAGS, horizon=horizon, strength=RIDGE_STRENGTH
            ),
        }
    )


def _expanding_regression(actual: Floats, *, order: int, horizon: int, strength: float) -> Floats:
    """Regress on the newest known outcomes and a constant, anew for each sample, shape (N,)."""
    lags = [_lagged(actual, horizon + lag) for lag in range(order)]
    design = np.column_stack([np.ones(len(actual)), *lags])
    first = horizon + order - 1  # the first sample whose lags are all known
    products, moments = np.zeros((order + 1, order + 1)), np.zeros(order + 1)
    forecast = np.zeros(len(actual))
    for sample in range(first + horizon, len(actual)):
        newest = sample - horizon  # the newest sample whose outcome is known
        products += np.outer(design[newest], design[newest])
        moments += design[newest] * actual[newest]
        if newest - first + 1 >= max(FEWEST_KNOWN, order + 1):
            penalty = np.diag(strength * np.append(0.0, np.diag(products)[1:]))
            weights = np.linalg.lstsq(products + penalty, moments)[0]
            forecast[sample] = design[sample] @ weights
    return forecast


def spread_baselines(samples: Samples) -> dict[str, Spread | None]:
    """Return volatility forecasts from the outcomes known at each origin, by name.

    - `EWMA`: a normal distribution of the `ewma_volatility`, NaN in the first `horizon` samples.
    - `GARCH(1,1)-t`: Student t around zero, fitted once on the training outcomes, then carried
      with these parameters through validation and test. None, with a line in the log, where there
      are fewer than 100 training outcomes, they never change, or the fit does not converge.

    GARCH starts at the mean square of the training outcomes. Overlapping returns (horizon > 1) are
    used as they are, known `horizon` samples later; from the newest known one the variance is
    forecast `horizon` steps ahead: EWMA stays, GARCH moves towards its long-run level. Several
    steps ahead the Student t is an approximation. Overlap dominates what GARCH learns from
    overlapping returns, so its forecast then stays near the training level.

    Args:
        samples: N samples; their windows are not read.

    References:
        Bollerslev (1987), "A conditionally heteroskedastic time series model for speculative
        prices and rates of return", Review of Economics and Statistics 69(3).
    """
    volatility = ewma_volatility(samples.actual, horizon=samples.horizon)
    fitted = _fit_garch(samples.actual[_newest_training(samples)])
    return {
        "EWMA": Spread(scale=volatility, degrees=None),
        "GARCH(1,1)-t": _garch_spread(samples, fitted) if fitted else None,
    }


def _lagged(values: Floats, num_samples: int) -> Floats:
    """Return the values lagged by `num_samples`, shape (N,); the first are zero."""
    return np.concatenate([np.zeros(num_samples), values])[: len(values)]


def _majority(outcomes: Floats) -> float:
    """Return sign * (2p - 1) * mean size, where sign * (2p - 1) is (ups - downs) / moves."""
    signs = np.sign(outcomes)
    num_moves = max(np.count_nonzero(signs), 1)
    return float(np.abs(outcomes).mean() * signs.sum() / num_moves)


def _autoregression(samples: Samples, *, order: int) -> Floats:
    """Regress on the `order` newest known outcomes and a constant; a direct forecast."""
    actual, horizon = samples.actual, samples.horizon
    lags = [_lagged(actual, horizon + lag) for lag in range(order)]
    design = np.column_stack([np.ones(len(actual)), *lags])
    complete = np.arange(len(actual)) >= horizon + order - 1
    rows = complete & (samples.segment == "train")
    weights = np.linalg.lstsq(design[rows], actual[rows])[0]
    return np.where(complete, design @ weights, 0.0)


def _ridge(samples: Samples, columns: Callable[[Windows], Floats]) -> Floats:
    newest = _newest_training(samples)
    actual = samples.actual[newest]
    # Ridge takes one penalty for each column of outcomes: all strengths share one matrix product.
    model = make_pipeline(StandardScaler(), Ridge(alpha=len(actual) * STRENGTHS))
    outcomes = np.repeat(actual[:, np.newaxis], len(STRENGTHS), axis=1)
    model.fit(columns(samples.windows[newest]), outcomes)
    return _best_on_validation(samples, lambda windows: model.predict(columns(windows)))


def _boosting(samples: Samples) -> Floats:
    newest = _newest_training(samples)
    model = HistGradientBoostingRegressor(
        max_iter=MOST_TREES,
        max_depth=TREE_DEPTH,
        learning_rate=TREE_STEP,
        early_stopping=False,
        random_state=TREE_SEED,
    )
    model.fit(_flattened(samples.windows[newest]), samples.actual[newest])
    return _best_on_validation(
        samples,
        lambda windows: np.column_stack(list(model.staged_predict(_flattened(windows)))),
    )


def _best_on_validation(samples: Samples, candidates: Callable[[Windows], Floats]) -> Floats:
    """Return the forecasts of the candidate with the smallest squared error on validation.

    Args:
        samples: N samples.
        candidates: Maps windows, shape (B, L, F), to a forecast by each candidate, shape (B, any);
            the first wins ties.
    """
    losses = sum(
        ((candidates(samples.windows[rows]) - samples.actual[rows, np.newaxis]) ** 2).sum(axis=0)
        for rows in _chunks(np.flatnonzero(samples.segment == "val"))
    )
    best = int(np.argmin(losses))
    chunks = _chunks(np.arange(len(samples.actual)))
    return np.concatenate([candidates(samples.windows[rows])[:, best] for rows in chunks])


def _chunks(rows: npt.NDArray[np.intp]) -> Iterator[slice]:
    """Yield slices of consecutive rows."""
    for start in range(rows[0], rows[-1] + 1, CHUNK):
        yield slice(start, min(start + CHUNK, rows[-1] + 1))


def _newest_training(samples: Samples) -> slice:
    num_training = int((samples.segment == "train").sum())
    return slice(max(num_training - LARGEST_FIT, 0), num_training)


def _flattened(windows: Windows) -> Floats:
    """Return windows (B, L, F) as rows, shape (B, L * F)."""
    return windows.astype(np.float64).reshape(len(windows), -1)


def _since_last_row(windows: Windows) -> Floats:
    """Return each window minus its last row, without that row, shape (B, (L - 1) * F)."""
    values = windows.astype(np.float64)
    return (values[:, :-1] - values[:, -1:]).reshape(len(windows), -1)


def _fit_garch(outcomes: Floats) -> GarchParameters | None:
    """Fit by maximum likelihood, in units of the root mean square, for the optimiser's sake."""
    num_outcomes = len(outcomes)
    if num_outcomes < FEWEST_GARCH_OUTCOMES:
        needed = FEWEST_GARCH_OUTCOMES
        log.warning("no GARCH(1,1)-t: %d training outcomes, it needs %d", num_outcomes, needed)
        return None
    if np.ptp(outcomes) == 0:
        log.warning("no GARCH(1,1)-t: all training outcomes are %g %%", outcomes[0])
        return None
    from arch import arch_model  # slow to import

    size = float(np.sqrt(np.mean(outcomes**2)))
    model = arch_model(outcomes / size, mean="Zero", vol="GARCH", dist="t", rescale=False)
    result = model.fit(disp="off", show_warning=False)
    if result.convergence_flag != 0 or not np.isfinite(result.params).all():
        log.warning("no GARCH(1,1)-t: fitting %d outcomes did not converge", num_outcomes)
        return None
    constant, weight, decay, degrees = (float(value) for value in result.params)
    return GarchParameters(constant * size**2, weight, decay, degrees)


def _garch_spread(samples: Samples, fitted: GarchParameters) -> Spread:
    """Return the spread of each sample: filter the variance, then forecast it."""
    constant, weight, decay, degrees = fitted
    squares = samples.actual**2
    start = np.mean(squares[samples.segment == "train"])
    # The recursion v' = (constant + weight * y**2) + decay * v, entered with v = start.
    after, _ = lfilter([1.0], [1.0, -decay], constant + weight * squares, zi=[decay * start])
    num_steps = samples.horizon
    variance = np.concatenate([np.full(num_steps, start), after])[: len(squares)]
    for _ in range(num_steps - 1):
        variance = constant + (weight + decay) * variance
    scale = np.sqrt(variance * (degrees - 2) / degrees)
    return Spread(scale=np.maximum(scale, SMALLEST_SCALE), degrees=degrees)
