"""The parts of `recon.refine.optimise_splats`, which fits splats to photos.

- `start` makes the splats to begin with; `photos` and `full_size_photos` are what is looked at.
- `state` is everything that changes; `snapshot_keeper` writes it to a file and reads it again. What changes from step
  to step and is not in the `arrays` of its class is not in that file.
- `loop` looks at one photo after another and knows when to stop, as `schedule` says; `step` is one look.
- An `updater` renders and moves splats: `cpu_updater` by `photo_loss` and `splat_adam`; `torch_updater` by
  `torch_photo_loss` and what draws with derivatives, as `gsplat_updater` does. `updaters` is their table.
- `memory` refuses more splats than there is room for; `densification` makes more of them;
  `exposures` and `camera_corrections` move what is not splats.
- `relative_exposures` says how bright photos are beside each other, by `matched_pixels` that show the same places.
- `scoring` compares photos and views.
"""
