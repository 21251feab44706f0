"""Makes what runs what is declared: snapshot, desired, plan, reconcile, sampling, the monitor."""
