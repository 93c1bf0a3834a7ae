// Looks for a number whose SHA-256 with the ticket begins with enough zero bits.
(() => {
  const work = document.getElementById('work');
  const form = work.closest('form');
  const state = document.getElementById('state');
  const bits = +work.dataset.bits;
  const ticket = form.elements.t.value;
  const bar = work.querySelector('progress');
  const encoder = new TextEncoder();

  // A search has no end that one could know: the bar shows the chance of having
  // been done by now.
  const show = tried => { bar.value = 1 - Math.exp(-tried / 2 ** bits); };
  const pause = () => new Promise(done => setTimeout(done));
  const enough = first => Math.clz32(first) >= bits;

  async function withCrypto() {
    for (let n = 0; ; n += 512) {
      const sums = await Promise.all(Array.from({ length: 512 }, (_, i) =>
        crypto.subtle.digest('SHA-256', encoder.encode(ticket + '.' + (n + i)))));
      for (let i = 0; i < sums.length; i++)
        if (enough(new DataView(sums[i]).getUint32(0))) return n + i;
      show(n);
      await pause();
    }
  }

  // SHA-256 (FIPS 180-4) for pages without WebCrypto; only the first word of the
  // sum is wanted.
  const K = [], H = [];
  const fraction = x => ((x - Math.floor(x)) * 2 ** 32) | 0;
  for (let p = 2; K.length < 64; p++) {
    let prime = true;
    for (let d = 2; d * d <= p; d++) if (p % d === 0) prime = false;
    if (!prime) continue;
    if (H.length < 8) H.push(fraction(Math.sqrt(p)));
    K.push(fraction(Math.cbrt(p)));
  }
  function firstWord(text) {
    const bytes = encoder.encode(text), blocks = (bytes.length + 72) >> 6;
    const padded = new Uint8Array(blocks * 64), view = new DataView(padded.buffer);
    padded.set(bytes);
    padded[bytes.length] = 0x80;
    view.setUint32(padded.length - 4, bytes.length * 8);
    const w = new Int32Array(64), rot = (x, n) => (x >>> n) | (x << (32 - n));
    let sum = H.slice();
    for (let at = 0; at < padded.length; at += 64) {
      for (let i = 0; i < 64; i++) {
        if (i < 16) { w[i] = view.getInt32(at + 4 * i); continue; }
        const x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + (rot(x, 7) ^ rot(x, 18) ^ (x >>> 3)) + w[i - 7] + (rot(y, 17) ^ rot(y, 19) ^ (y >>> 10));
      }
      let [a, b, c, d, e, f, g, h] = sum;
      for (let i = 0; i < 64; i++) {
        const t1 = (h + (rot(e, 6) ^ rot(e, 11) ^ rot(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const t2 = ((rot(a, 2) ^ rot(a, 13) ^ rot(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
      }
      sum = [a, b, c, d, e, f, g, h].map((x, i) => (x + sum[i]) | 0);
    }
    return sum[0] >>> 0;
  }
  async function withoutCrypto() {
    for (let n = 0; ; ) {
      for (const until = performance.now() + 12; performance.now() < until;)
        for (let i = 0; i < 64; i++, n++)
          if (enough(firstWord(ticket + '.' + n))) return n;
      show(n);
      await pause();
    }
  }

  async function run() {
    if (!navigator.cookieEnabled) {
      bar.remove();
      state.textContent = work.dataset.cookies;
      return;
    }
    form.elements.n.value = await (globalThis.crypto?.subtle ? withCrypto() : withoutCrypto());
    bar.value = 1;
    state.textContent = work.dataset.done;
    form.submit();
  }

  const start = document.getElementById('start');
  work.hidden = !!start;
  if (start) start.addEventListener('click', () => { start.remove(); work.hidden = false; run(); });
  else run();
})();
