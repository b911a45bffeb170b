"""Work for requests: turns, networks, results and files."""
