"""A Redis in memory, for snippets that keep answers in one."""


class Redis:
    def __init__(self, **options):
        self.values = {}

    def get(self, key):
        return self.values.get(key)

    def setex(self, key, seconds, value):
        self.values[key] = value.encode() if isinstance(value, str) else value

    def pipeline(self):
        return Pipeline(self)


class Pipeline:
    def __init__(self, store):
        self.store, self.results = store, []

    def incr(self, key):
        self.store.values[key] = self.store.values.get(key, 0) + 1
        self.results.append(self.store.values[key])

    def expire(self, key, seconds):
        self.results.append(True)

    def execute(self):
        return self.results
