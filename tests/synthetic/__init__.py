"""A small ray tracer with procedural scenes: photos whose depth, cameras, sky and objects are known exactly.

It made the sample scenes under `scenes/`, and makes them anew with the same bytes:

    python -m tests.synthetic scenes

`python -m tests.synthetic training FOLDER` renders random scenes that networks learn from.

`scenes` has the scenes, `camera_paths` ways through them, `render` takes the photos, `sample_scenes` writes and reads
the folders of sample scenes.
"""
