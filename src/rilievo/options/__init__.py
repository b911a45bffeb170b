"""Options: what a user may ask for, one frozen record a subject, from which every door is made."""
