// Does the work that a form of class "work" asks for before an account is made, and posts it then: looks for a number that makes
// the SHA-256 of "challenge:number" begin with so many zero bits. The challenge has 64 characters, one whole block, so that all
// tries share what comes of it. Done in slices, so that the page stays awake.
const K = [];
const START = [];
const part = (number) => ((number - Math.floor(number)) * 2 ** 32) | 0;
for (let n = 2; K.length < 64; n++) {
  let isPrime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) isPrime = false;
  if (!isPrime) continue;
  if (START.length < 8) START.push(part(Math.sqrt(n)));
  K.push(part(Math.cbrt(n)));
}

const words = new Int32Array(64);
const turn = (x, n) => (x >>> n) | (x << (32 - n));

// One block, which is in the first 16 words (FIPS 180-4 §6.2.2).
const mix = (state) => {
  for (let i = 16; i < 64; i++) {
    const x = words[i - 15];
    const y = words[i - 2];
    const s0 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
    const s1 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
    words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const t1 =
      (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
    const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  return [a, b, c, d, e, f, g, h].map((word, i) => (word + state[i]) | 0);
};

const fill = (text) => {
  words.fill(0, 0, 16);
  for (let i = 0; i < text.length; i++) words[i >> 2] |= text.charCodeAt(i) << (24 - 8 * (i & 3));
};

const after = (challenge) => {
  fill(challenge);
  return mix(START);
};

// The first word is enough: nobody asks for more than 32 bits.
const firstWord = (state, text) => {
  fill(`${text}\u0080`);
  words[15] = (64 + text.length) * 8;
  return mix(state)[0];
};

const solve = async (challenge, bits) => {
  const state = after(challenge);
  for (let number = 0; ; ) {
    const until = performance.now() + 40;
    while (performance.now() < until) {
      for (let i = 0; i < 500; i++, number++) {
        if (Math.clz32(firstWord(state, `:${number}`)) >= bits) return String(number);
      }
    }
    await new Promise((go) => setTimeout(go));
  }
};

const form = document.querySelector("form.work");
if (form?.elements.challenge.value.length === 64) {
  form.elements.answer.value = await solve(form.elements.challenge.value, Number(form.elements.bits.value));
  form.submit();
}
