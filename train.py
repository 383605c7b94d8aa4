"""Train a forecaster: ``python train.py``, with settings from `conf/` and the command line."""

from ironore_lightning.train import main

if __name__ == "__main__":
    main()
