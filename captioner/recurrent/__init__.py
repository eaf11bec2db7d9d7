"""The recurrent core that every application shares."""
