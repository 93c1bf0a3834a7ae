// Calls two clients by others than the vendors as their users do: ipinfo, of
// IPinfo's legacy API, and geoip2ws, of MaxMind's. Questions and answers are JSON.
const ipinfo = require("ipinfo");
const geoip2ws = require("geoip2ws");

(async () => {
  const { url, key, questions } = JSON.parse(process.argv[2]);
  ipinfo.HOSTNAME = ipinfo.HOSTNAME_SSL = url + "/compat/ipinfo/";
  const answers = [];
  for (const { client, call, args } of questions) {
    try {
      const answer =
        client === "ipinfo"
          ? await ipinfo(args[0], key)
          : await geoip2ws({ userId: "42", licenseKey: key, service: call, ip: args[0], endpoint: url + "/compat/maxmind", timeout: 20000 });
      answers.push({ answer });
    } catch (e) {
      answers.push({ error: (e.reason ?? "") + " " + e.message });
    }
  }
  console.log(JSON.stringify(answers));
})();
