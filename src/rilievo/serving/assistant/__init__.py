"""Tools for assistants (MCP)."""
