"""Training, in parts: `schedule` (arithmetic), `reals` (the images), `step` (what is compiled), `snapshots` and `progress` (what is
saved and said now and then), `loop` (all of it in order)."""
