"""How often the desk would refuse the rows of a market in which nothing is wrong.

    python tests/benchmarks/desk_refusals.py
    python tests/benchmarks/desk_refusals.py data=original data.root=DIR

For the newest 30 % of the rows, beside the 70 % before them: the share with an input outside of
those rows by more than some shares of their range, and with a driver older than it ever was there.
Then the days on which all contracts of a leg jump against the other legs, by more than 3 to 8 usual
moves.
"""

import sys
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from measuring import ROOT

from ironore_lightning.data.features import build_features
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.data_quality.break_days import HISTORY, jumps_together
from ironore_lightning.settings.checking import to_config

TRAINED = 0.7
BEYOND = (0.0, 0.1, 0.25, 0.5)
JUMPS = (3.0, 6.0, 8.0)


def main(overrides: Sequence[str]) -> None:
    """Print a line of the table for each limit."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = to_config(compose("config", overrides=list(overrides)))
    raw = read_raw(config.data)
    panel = build_panel(raw, config.data, config.target)
    inputs = build_features(panel, config.features.names)
    end = int(TRAINED * len(inputs))
    trained, later = inputs.iloc[:end], inputs.iloc[end:]
    low, high = trained.min(), trained.max()
    print(f"{config.data.name}\n| what | limit | refused |\n| --- | --- | --- |")
    for share in BEYOND:
        reach = share * (high - low)
        outside = ((later < low - reach) | (later > high + reach)).any(axis=1)
        print(f"| input out of range | {share:g} | {outside.sum()} of {len(later)} rows |")
    ages = panel.staleness.loc[inputs.index]
    stale = (ages.iloc[end:] > ages.iloc[:end].max()).any(axis=1)
    print(f"| older than ever | – | {stale.sum()} of {len(later)} rows |")
    days = panel.days[HISTORY:]
    for jump in JUMPS:
        found = {
            day
            for day in days
            for leg in raw.contracts
            if jumps_together(raw.contracts, leg, day, least=jump)
        }
        print(f"| like a break | {jump:g} | {len(found)} of {len(days)} days |")


if __name__ == "__main__":
    main(sys.argv[1:])
