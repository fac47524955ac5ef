"""The Pythons that the kernels run in: found, built, locked, offered to JupyterLab."""
