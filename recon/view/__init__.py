"""Results in a browser: the server of `recon view` and of `recon serve`.

Both stand on starlette, uvicorn and python-multipart, not on the standard library's `http.server`: uploads read as they
come, streams of events, clients that go away and limits on all of these would each be code of our own there. The three
are pure Python, small, and need nothing that huggingface_hub does not bring already, so they come with every
installation, and `recon view` works with each.

- `app`: an application from a list of routes, with what holds for every answer.
- `guard`: who is answered, and what is sent along with each answer.
- `server`: an address, and the application there until it is stopped.
- `page`: what `recon view` shows.
- `opened`: what it opens.
- `service`: what `recon serve` does.
"""
