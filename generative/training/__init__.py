"""How every network is trained: the two loops and their parts."""
