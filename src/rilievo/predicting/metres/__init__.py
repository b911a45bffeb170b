"""What determines metres in a run: known sizes, tables of them, sensors, markers."""
