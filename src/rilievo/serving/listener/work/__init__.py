"""Turns of clients, jobs that can be given up, memory."""
