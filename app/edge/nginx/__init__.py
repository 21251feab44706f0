"""nginx as the edge."""
