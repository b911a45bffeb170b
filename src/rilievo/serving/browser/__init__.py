"""Page for static hosts that predicts in the browser."""
