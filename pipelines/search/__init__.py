"""`captioner search`: photos and moments of clips that a sentence describes."""
