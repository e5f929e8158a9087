"""What a workload touches (trace), what it may touch on another input (reach), and what follows for each file."""
