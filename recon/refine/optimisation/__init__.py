"""The parts of `recon.refine.optimise_splats`, which fits splats to photos.

`start` makes the splats to begin with, `photos` what is looked at, `state` is everything that changes, `schedule` how
fast. `loop` looks at one photo after another and knows when to stop, `step` is one look: an `updater` renders and moves
splats (`cpu_updater`: `photo_loss`, `splat_adam`), `exposures` and `camera_corrections` move the rest. `scoring`
compares, `snapshot_keeper` writes all that changes to a file and reads it again. Whatever changes from step to step and
is not in the `arrays` of its class is not in that file.
"""
