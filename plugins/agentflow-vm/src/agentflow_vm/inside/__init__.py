"""What runs inside of a machine, under the machine's own Python and with nothing but its standard library."""
