"""Images, truth and predictions as a page of HTML that needs no server and nothing installed."""
