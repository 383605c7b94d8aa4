"""Honest forecasts of the next-day return of iron ore futures."""

import os
import sys

from ironore_lightning.interrupts import end_at_once

if sys.argv[:1] == ["-m"]:  # as long as Python looks for the module that it is to run
    end_at_once()

# Figures go to files. Where the variable names a backend that is not there, matplotlib cannot even
# be imported, which torchmetrics does; that of a notebook, "module://...", is left alone.
if not os.environ.get("MPLBACKEND", "module://").startswith("module://"):
    os.environ["MPLBACKEND"] = "agg"
