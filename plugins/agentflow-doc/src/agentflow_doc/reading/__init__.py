"""Read files, in a process of its own; the server takes from here what it tells that process, and why it fails."""
