"""`recon serve`: runs asked for over HTTP, done one after the other, and shown.

- `asked`: what a client may ask of a run, from the options of `recon run` that are not for this machine alone.
- `file_names`, `multipart`, `receiving`: files as they come in, by names and within limits of this server.
- `job`, `job_store`: one run that was asked for, and its folder, which is all the state there is.
- `job_queue`, `worker_process`: jobs in order, in a process that keeps models loaded.
- `worker`, `confinement`, `kept_models`: that process.
- `plain_paths`, `packed`: what is said tells nothing of where things lie on this machine; files in one archive.
- `endpoints`, `openapi`, `handlers`, `events`, `token`, `site`: HTTP.
"""
