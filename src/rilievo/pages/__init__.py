"""Every page of HTML, from one template engine, one style sheet and one script."""
