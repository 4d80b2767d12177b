"""The machine: devices, compilation, memory, processes, signals and threads."""
