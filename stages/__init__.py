"""One module per DVC stage: reads files, calls the library, writes files; nothing else."""
