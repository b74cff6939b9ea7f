"""From what people write, and what networks name, to domains of interest (paper 2): lookup and cleaning."""
