"""Depth over HTTP: the server, the app in front of it, and the network in the browser's tab."""
