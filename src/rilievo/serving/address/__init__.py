"""Address of a server: its options, its socket, its tokens."""
