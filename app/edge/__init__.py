"""Port 443: what nginx serves, its certificates, and the names that lead to this server."""
