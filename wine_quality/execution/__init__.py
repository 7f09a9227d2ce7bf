"""How runs get their processes: the executor, warm processes, pods, runs that were lost."""
