"""The panel: pages for people, over the same functions of `fleet` that the command line uses."""
