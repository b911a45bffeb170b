"""Options: one frozen record a subject, for every door."""
