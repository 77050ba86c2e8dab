"""The server of models: OpenAI's API over HTTP, with the versions that the registry says are live."""
