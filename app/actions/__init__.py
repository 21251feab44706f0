"""What people do: one use case a function. Each takes the system and the actor, binds its input, checks the actor's
right, changes the declaration, and asks for a reconcile.

A workload that can't be started is told in the view of its user and retried: it never undoes the declaration.
"""
