"""Sets of videos with true depth, as papers on video depth score them."""
