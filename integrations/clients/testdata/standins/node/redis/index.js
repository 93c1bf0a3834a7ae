// A Redis in memory, for snippets that keep answers in one.
exports.createClient = () => {
  const values = new Map();
  return {
    get: async (key) => values.get(key) ?? null,
    setEx: async (key, seconds, value) => void values.set(key, value),
  };
};
