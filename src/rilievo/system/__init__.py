"""The process and its surroundings: signals, the terminal, telemetry of dependencies."""
