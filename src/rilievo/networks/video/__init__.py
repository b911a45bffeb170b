"""Networks that learn depth from video: of one frame its depth, of two the motion between them."""
