"""One prediction as an HTML page to share: pictures, a surface to turn, and the facts."""
