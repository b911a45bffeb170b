"""Options: one frozen record a subject, for every interface."""
