"""How long data take from a file to a batch, and how much memory a million rows need.

Memory is what `WindowDataModule` and a thousand batches add, at their peak, to a process that
holds the features already; a table of single-precision numbers is the measure. Linux only.

    python tests/benchmarks/data_speed.py

prints a table; `speed.py` prints this one and all others.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import ROOT, Row, compose_config, print_table, ratios, take_turns, user_environment

NUM_ROWS, NUM_FEATURES = 1_000_000, 12
FEW_ROWS = 1_000
NUM_STEPS = 1_000


def raw_to_panel(folder: Path) -> float:
    """Read the sample market's files, which are written before, and join them."""
    from ironore_lightning.data.panel import build_panel
    from ironore_lightning.data.raw_data import read_raw

    config = compose_config("data=original", f"data.root={folder}")
    started = time.perf_counter()
    raw = read_raw(config.data)
    panel = build_panel(raw, config.data, config.target)
    seconds = time.perf_counter() - started
    contracts = sum(curve.shape[1] for curve in raw.contracts.values())
    assert contracts >= 130, contracts
    assert panel.values.shape[1] >= NUM_FEATURES, panel.values.shape
    return seconds


def write_table(path: Path, num_rows: int) -> None:
    """Write features and a price, a row a weekday."""
    generator = np.random.default_rng(0)
    dates = np.busday_offset("1900-01-01", np.arange(num_rows), roll="forward")
    frame = pd.DataFrame(
        generator.normal(size=(num_rows, NUM_FEATURES)),
        columns=[f"x{number}" for number in range(NUM_FEATURES)],
    )
    frame.insert(0, "date", pd.DatetimeIndex(dates.astype("datetime64[us]")))
    frame["price"] = 100 * np.exp(np.cumsum(generator.normal(size=num_rows)) * 1e-4)
    frame.to_parquet(path)


def table_config(path: Path):
    """Name a table in settings."""
    names = ",".join(f"x{number}" for number in range(NUM_FEATURES))
    return compose_config(
        "data=table",
        f"data.root={path.parent}",
        f"data.table.file={path.name}",
        "data.table.format=parquet",
        "data.table.date_format=null",
        "data.table.delimiter=null",
        "target.series=price",
        f"features.names=[{names}]",
    )


def work(path: Path) -> None:
    """Go from a table to a thousand steps, and print what each part took."""
    from bare_loop import step

    from ironore_lightning.data.datamodule import WindowDataModule, build_datamodule
    from ironore_lightning.data.features import build_features, build_target
    from ironore_lightning.data.market_cache import build_market
    from ironore_lightning.model.hardware import set_up_process
    from ironore_lightning.model.training import build_forecaster

    config = table_config(path)
    set_up_process(config.hardware)
    started = time.perf_counter()
    panel = build_market(config.data, config.target).panel
    datamodule = build_datamodule(panel, config.dataset_settings)
    next(iter(datamodule.train_dataloader()))
    first_batch = time.perf_counter() - started
    del datamodule

    features = build_features(panel, config.features.names)
    target = build_target(panel, config.target).loc[features.index]
    before = memory(reset_peak=True)
    datamodule = WindowDataModule(features, target, config.dataset_settings)
    for _ in steps(datamodule):
        pass
    added = memory() - before

    forecaster = build_forecaster(datamodule.features.shape[1], config.fit_settings)
    (optimizer,), _ = forecaster.configure_optimizers()
    started = time.perf_counter()
    for batch in steps(datamodule):
        step(forecaster, optimizer, batch.inputs, batch.target, config)
    seconds = time.perf_counter() - started
    print(json.dumps({"first batch": first_batch, "memory": added, "steps": seconds}))


def steps(datamodule):
    """Yield a thousand training batches, epoch after epoch."""
    epochs = (datamodule.train_dataloader() for _ in itertools.count())
    chunks = itertools.chain.from_iterable(epochs)
    batches = itertools.chain.from_iterable(one.split(datamodule.batch_size) for one in chunks)
    return itertools.islice(batches, NUM_STEPS)


def memory(*, reset_peak: bool = False) -> int:
    """Return the bytes in use; at their peak, unless that is to start here."""
    if reset_peak:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    key = "VmRSS" if reset_peak else "VmHWM"
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def run_worker(path: Path) -> dict[str, float]:
    """Go through a table in a process of its own."""
    command = [sys.executable, __file__, "--table", str(path)]
    answer = subprocess.run(
        command, cwd=ROOT, env=user_environment(), stdout=subprocess.PIPE, check=True
    )
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def million_rows(*, repeats: int) -> list[Row]:
    """Compare a million rows with a thousand."""
    many, few = [], []
    with tempfile.TemporaryDirectory() as folder:
        tables = {count: Path(folder) / f"{count}.parquet" for count in (NUM_ROWS, FEW_ROWS)}
        for count, path in tables.items():
            write_table(path, count)
        for _ in range(repeats):
            many.append(run_worker(tables[NUM_ROWS]))
            few.append(run_worker(tables[FEW_ROWS]))
    table_bytes = NUM_ROWS * NUM_FEATURES * 4
    first = [one["first batch"] for one in many]
    added = [one["memory"] / table_bytes for one in many]
    slower = ratios([one["steps"] for one in many], [one["steps"] for one in few])
    return [
        Row("1,000,000 rows of Parquet to the first batch", 5.0, first, "s"),
        Row("memory that samples and 1,000 batches of them add, over the table", 3.0, added),
        Row("1,000 training steps on 1,000,000 rows over 1,000 rows", 1.1, slower),
    ]


def measure(*, repeats: int) -> list[Row]:
    """Measure all rows."""
    from ironore_lightning.data.raw_data import read_raw

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "raw"
        read_raw(compose_config(f"data.root={root}").data)
        panel = take_turns({"panel": lambda: raw_to_panel(root)}, repeats=2 * repeats)["panel"]
    return [Row("raw files to panel", 0.5, panel, "s"), *million_rows(repeats=repeats)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or go through one file for another process that does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--table", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.table:
        work(chosen.table)
        return
    print_table(measure(repeats=chosen.repeats))


if __name__ == "__main__":
    main()
