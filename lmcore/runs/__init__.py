"""What keeps a training run alive: its folder, snapshots, history, requests to stop; and the list of runs."""
