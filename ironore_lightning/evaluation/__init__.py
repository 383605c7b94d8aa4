"""What a forecast is worth."""
