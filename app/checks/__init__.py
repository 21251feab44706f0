"""What is looked at from here: names and addresses, TLS, clocks."""
