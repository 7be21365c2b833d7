"""What a desktop runs on."""
