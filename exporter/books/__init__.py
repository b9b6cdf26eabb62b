"""Order books: levels, synchronisation with the venue, audit."""
