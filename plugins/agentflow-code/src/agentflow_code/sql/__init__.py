"""SQL over the data of a session: what runs in its interpreter, and beside it what the server does."""
