"""A client of the RFB protocol (VNC) on anyio streams, after RFC 6143 and the community's extensions of it."""
