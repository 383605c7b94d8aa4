"""What the data hold, and what is doubtful about them."""
