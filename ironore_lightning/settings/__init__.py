"""Every setting once: its type, unit, bound and meaning. The values live in `conf/`."""
