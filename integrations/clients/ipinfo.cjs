// Calls node-ipinfo as its users do. Questions and answers are JSON.
const { IPinfoWrapper, IPinfoLiteWrapper, IPinfoCoreWrapper, IPinfoPlusWrapper } = require("node-ipinfo");

(async () => {
  const { url, key, questions } = JSON.parse(process.argv[2]);
  const clients = {
    legacy: new IPinfoWrapper(key, undefined, 20000, undefined, url),
    lite: new IPinfoLiteWrapper(key, undefined, 20000, undefined, url + "/lite"),
    core: new IPinfoCoreWrapper(key, undefined, 20000, undefined, url + "/lookup"),
    plus: new IPinfoPlusWrapper(key, undefined, 20000, undefined, url + "/lookup"),
  };
  const answers = [];
  for (const { client, call, args } of questions) {
    try {
      answers.push({ answer: await clients[client][call](...args) });
    } catch (e) {
      answers.push({ error: e.constructor.name + ": " + e.message });
    }
  }
  console.log(JSON.stringify(answers));
})();
