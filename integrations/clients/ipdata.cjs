// Calls ipdata's client as its users do: its own address is in the module, so it
// is sent here by https_proxy. Questions and answers are JSON.
const IPData = require("ipdata").default;

(async () => {
  const { key, questions } = JSON.parse(process.argv[2]);
  const answers = [];
  for (const { call, args } of questions) {
    const client = new IPData(key); // each with a cache of its own
    try {
      answers.push({ answer: await client[call](...args) });
    } catch (e) {
      answers.push({ error: e.message });
    }
  }
  console.log(JSON.stringify(answers));
})();
