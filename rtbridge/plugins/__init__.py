"""What stands beside the realtime core; the core imports none of it."""
