"""The groups of cases, one a file. Each has `run(suite)`, which gives the rows of its part of the table."""
