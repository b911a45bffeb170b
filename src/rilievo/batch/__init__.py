"""Processing of many inputs by many processes, on this machine or on a Ray cluster."""
