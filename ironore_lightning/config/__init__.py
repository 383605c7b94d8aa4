"""Every setting once: its type, unit, bound and meaning. The values live in `conf/`.

Below `experiment` nobody receives the whole `Config`, only the part it needs.
"""
