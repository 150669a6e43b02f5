"""The store's answers, the clean-up and the migration over HTTP, for holders of tokens; see docs/api.md."""
