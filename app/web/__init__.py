"""The panel: pages for people, over the same actions and views that the command line uses."""
