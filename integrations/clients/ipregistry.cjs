// Calls @ipregistry/client as its users do. Questions and answers are JSON.
const { ApiError, IpregistryClient, IpregistryConfigBuilder, IpregistryOptions, isApiError } = require("@ipregistry/client");

(async () => {
  const { url, key, questions } = JSON.parse(process.argv[2]);
  const client = new IpregistryClient(new IpregistryConfigBuilder(key).withBaseUrl(url).withTimeout(20000).build());
  const answers = [];
  for (const { call, args, filter, hostname } of questions) {
    const options = [];
    if (filter) options.push(IpregistryOptions.filter(filter));
    if (hostname) options.push(IpregistryOptions.hostname(true));
    try {
      const response = await client[call](...args, ...options);
      answers.push({
        answer: response.data,
        credits: response.credits,
        errors: Array.isArray(response.data) ? response.data.map((r) => isApiError(r)) : [],
      });
    } catch (e) {
      answers.push({ error: { api: e instanceof ApiError, code: e.code, message: e.message, resolution: e.resolution } });
    }
  }
  console.log(JSON.stringify(answers));
})();
