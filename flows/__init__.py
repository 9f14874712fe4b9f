"""The Prefect flow over the DVC graph, and the command line."""
