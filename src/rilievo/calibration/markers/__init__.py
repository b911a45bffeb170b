"""Printed markers, by which a photograph states its metres."""
