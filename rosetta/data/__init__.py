"""The data sets: fetched, checked, converted, and their stand-ins."""
