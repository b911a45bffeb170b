"""One prediction as a page of HTML to send to somebody: pictures, a surface to turn, the facts."""
