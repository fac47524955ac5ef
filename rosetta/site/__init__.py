"""The site: static pages, made of the notebooks, the records and the registry alone."""
