"""What runs leave behind: records with keys, executed notebooks, results.md and its plots."""
