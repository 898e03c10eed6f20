"""Answers over HTTP, and a page that asks for them: `mien serve`."""
