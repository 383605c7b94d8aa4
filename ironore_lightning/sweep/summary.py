"""stub"""
from types import SimpleNamespace
def summarize(folder):
    return SimpleNamespace(worst_exit_status=0)
