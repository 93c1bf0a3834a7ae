"""What snippets use of requests, where that is not installed."""
import json
import urllib.error
import urllib.request


class RequestException(IOError):
    pass


class exceptions:
    RequestException = RequestException


class Response:
    def __init__(self, status, body):
        self.status_code, self.body = status, body

    def json(self):
        return json.loads(self.body)


def get(url, headers=None, timeout=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=timeout) as r:
            return Response(r.status, r.read())
    except urllib.error.HTTPError as e:
        return Response(e.code, e.read())
    except OSError as e:
        raise RequestException(str(e)) from e
