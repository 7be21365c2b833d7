"""The sandbox behind one URL or several: what `Sandbox` opens when it is given a URL."""
