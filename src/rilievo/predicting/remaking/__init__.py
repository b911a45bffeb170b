"""Results made again from kept answers."""
