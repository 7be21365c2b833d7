"""Desktops for agents: one RFB client, and the machines that it looks at."""
