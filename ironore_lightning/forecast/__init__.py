"""The next trading day, forecast with finished runs."""
