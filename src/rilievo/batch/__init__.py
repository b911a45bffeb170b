"""Work on many inputs by many processes: of this machine, or of a Ray cluster."""
