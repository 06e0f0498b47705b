"""What the run engine can be asked to do: label features, score labels; here or in the background."""

# What a run of each kind is called while it goes on, and what it has done to a feature.
DOES = {"label": ("Labeling", "labeled"), "score": ("Scoring", "scored")}
