"""Records of photographs, depth maps, samples of datasets and predictions."""
