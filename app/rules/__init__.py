"""Pure rules: limits, cycles, domains, links. No clock, no I/O."""
