"""Everything that touches another library: each module is imported only when it is used."""
