"""Honest forecasts of the next-day return of iron ore futures."""

import os

# Figures go to files. Where the variable names a backend that is not there, matplotlib cannot even
# be imported, which torchmetrics does; that of a notebook, "module://...", is left alone.
if not os.environ.get("MPLBACKEND", "module://").startswith("module://"):
    os.environ["MPLBACKEND"] = "agg"
