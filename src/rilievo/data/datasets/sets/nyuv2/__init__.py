"""NYU Depth V2 in its layouts: labelled file, folders of images, synchronised frames."""
