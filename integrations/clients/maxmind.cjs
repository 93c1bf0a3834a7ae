// Calls @maxmind/geoip2-node as its users do. Questions and answers are JSON.
const { WebServiceClient } = require("@maxmind/geoip2-node");

(async () => {
  const { host, account, key, questions } = JSON.parse(process.argv[2]);
  const client = new WebServiceClient(account, key, { host, timeout: 20000 });
  const answers = [];
  for (const [product, ip] of questions) {
    try {
      answers.push({ answer: await client[product](ip) });
    } catch (e) {
      answers.push({ error: { code: e.code, error: e.error, status: e.status } });
    }
  }
  console.log(JSON.stringify(answers));
})();
