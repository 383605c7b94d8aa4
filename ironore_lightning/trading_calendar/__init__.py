"""Which days trade, how far rows lie apart, and which day comes next."""
