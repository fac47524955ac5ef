"""What run_all.py drives: environments, data sets, execution, records and reports."""
