"""What networks learn from: scenes of every kind, samples of their views, and streams of batches.

A `Scene` is photos with what is known of them; `scene_kinds` has the table of what becomes one. `sampling` makes
samples of a scene's views (`overlap` chooses them, `crops` and `colours` change them), `training_data` hands out
batches of samples, `stream` prepares them ahead.
"""
