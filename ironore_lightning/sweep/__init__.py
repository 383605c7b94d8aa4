"""Many runs: how they are started, and what they are worth together."""
