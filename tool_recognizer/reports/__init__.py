"""Reports, each one offline HTML page; they compute no figure."""
