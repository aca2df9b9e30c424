"""Programs started for their words: bounded in time and output, marked as ours, ended with the app."""
