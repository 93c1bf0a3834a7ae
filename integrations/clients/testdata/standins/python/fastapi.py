"""What snippets use of FastAPI, where that is not installed."""


class status:
    HTTP_403_FORBIDDEN = 403


class HTTPException(Exception):
    def __init__(self, status_code, detail=None):
        self.status_code, self.detail = status_code, detail


class Request:
    pass


class FastAPI:
    def middleware(self, kind):
        return lambda f: f
