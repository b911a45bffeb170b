"""The camera's trajectory through a clip: its estimate, its files, its picture and its errors."""
