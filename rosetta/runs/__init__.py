"""Running the matrix: what is to be done, one execution after another, and their outcomes."""
