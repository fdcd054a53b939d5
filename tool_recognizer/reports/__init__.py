"""Pages to hand over, each one offline HTML file; they compute no figure."""
