"""Printed markers, which state metres."""
