"""What snippets use of httpx, where that is not installed."""
import requests


class AsyncClient:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return False

    async def get(self, url, headers=None):
        return requests.get(url, headers=headers)
