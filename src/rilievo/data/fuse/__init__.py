"""One surface from many views: poses, depth that agrees between frames, a fused volume, a mesh."""
