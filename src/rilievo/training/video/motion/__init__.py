"""Motion between the frames of a run, by geometry."""
