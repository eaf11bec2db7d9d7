"""The jobs behind the `captioner` command, each a short composition of library parts."""
