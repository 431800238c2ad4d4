// A certified OpenID provider (https://openid.net/certification) set up as Google, Microsoft and Apple are, on loopback and for
// the tests alone. Nothing of the protocol is written here: who asks, who signs in, and what is claimed of them.
//
// `settings.json` beside it says who its clients are. Its first line says where it listens.

import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { decodeProtectedHeader, importSPKI, jwtVerify } from 'jose';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(new URL('settings.json', import.meta.url), 'utf8'));
const appleKey = await importSPKI(settings.apple_public_key, 'ES256');
const addresses = new Map();

const hashed = (text) => createHash('sha256').update(text).digest('hex');

/** Never the address: that may change. */
function subjectOf(email) {
  const subject = hashed(email).slice(0, 24);
  addresses.set(subject, email);
  return subject;
}

/** The same person, as an object of Microsoft's directory. */
function objectOf(subject) {
  return [8, 4, 4, 4, 12].map((length, part) => hashed(`${part} ${subject}`).slice(0, length)).join('-');
}

/** What each says of somebody in its own way; all of them sign RS256. */
const kinds = {
  google: {
    path: '/google',
    claims: (subject, email) => ({ sub: subject, email, email_verified: true, name: 'Ana Ruiz' }),
  },
  microsoft: {
    path: `/microsoft/${settings.directory}/v2.0`,
    claims: (subject, email) => ({
      sub: hashed(`${settings.client_id} ${subject}`),
      email,
      name: 'Ana Ruiz',
      oid: objectOf(subject),
      tid: settings.directory,
      xms_edov: true,
    }),
  },
  apple: {
    path: '/apple',
    claims: (subject, email) => ({
      sub: subject,
      email,
      email_verified: 'true',
      is_private_email: 'false',
    }),
  },
};

/** Whether a secret is what Apple wants: a token that the team's key signed, for this issuer and for a while. */
async function isAppleSecret(secret, issuer) {
  try {
    await jwtVerify(secret, appleKey, {
      algorithms: ['ES256'],
      audience: issuer,
      issuer: settings.team_id,
      subject: settings.client_id,
      requiredClaims: ['iat', 'exp'],
      maxTokenAge: '180 days',
    });
    return decodeProtectedHeader(secret).kid === settings.key_id;
  } catch {
    return false;
  }
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

function configuration(name, kind, callbacks, key) {
  return {
    clients: [
      {
        client_id: settings.client_id,
        client_secret: settings.client_secret,
        token_endpoint_auth_method: name === 'apple' ? 'client_secret_post' : 'client_secret_basic',
        redirect_uris: callbacks.map((server) => `${server}/auth/${name}/callback`),
      },
    ],
    jwks: { keys: [key] },
    cookies: { keys: [settings.client_secret] },
    // Apple knows nothing of it; the others get no code back without it
    pkce: { required: () => name !== 'apple' },
    claims: {
      openid: ['sub', 'oid', 'tid', 'xms_edov'],
      email: ['email', 'email_verified', 'is_private_email'],
      profile: ['name'],
      // Apple's, in the form alone
      name: [],
    },
    // all three put them into the ID token
    conformIdTokenClaims: false,
    findAccount: (_, subject) => ({
      accountId: subject,
      claims: () => kind.claims(subject, addresses.get(subject)),
    }),
    interactions: { url: (_, interaction) => `${kind.path}/interaction/${interaction.uid}` },
    features: { devInteractions: { enabled: false } },
    // whoever signs in agrees
    loadExistingGrant: async (ctx) => {
      const { client, session, provider, params } = ctx.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(params.scope);
      await grant.save();
      return grant;
    },
    renderError: (ctx, out) => {
      ctx.type = 'json';
      ctx.body = out;
    },
  };
}

/** All three, for the servers that there are. */
function openTo(url, callbacks) {
  const key = signingKey();
  return Object.entries(kinds).map(([name, kind]) => {
    const issuer = `${url}${kind.path}`;
    const provider = new Provider(issuer, configuration(name, kind, callbacks, key));
    if (name === 'apple') {
      provider.Client.prototype.compareClientSecret = (secret) => isAppleSecret(secret, issuer);
    }
    provider.on('server_error', (_, error) => console.error(error));
    return { ...kind, provider, answer: provider.callback() };
  });
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

/** The page that asks who somebody is, and believes it. */
async function interaction({ provider }, request, response) {
  if (request.method === 'POST') {
    const email = new URLSearchParams(await bodyOf(request)).get('email');
    await provider.interactionFinished(request, response, { login: { accountId: subjectOf(email) } });
    return;
  }
  const { uid } = await provider.interactionDetails(request, response);
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(
    `<!doctype html><title>Sign in</title><form data-testid="sign-in" method="post" action="${request.url}">` +
      `<input type="hidden" name="uid" value="${uid}">` +
      '<label>E-mail <input name="email" type="email"></label><button>Sign in</button></form>',
  );
}

/** As Microsoft's door for all directories describes itself: by a pattern, and no issuer. */
async function commonDoor(url, response) {
  const address = `${url}${kinds.microsoft.path}/.well-known/openid-configuration`;
  const description = await (await fetch(address)).json();
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ ...description, issuer: `${url}/microsoft/{tenantid}/v2.0` }));
}

let url;
let callbacks = [];
let open = [];

async function answer(request, response) {
  // the test's own two words
  if (request.url === '/for' && request.method === 'POST') {
    callbacks = [await bodyOf(request)];
  }
  if (request.url === '/for' || request.url === '/rotate') {
    open = openTo(url, callbacks);
    response.end();
    return;
  }
  if (request.url === '/microsoft/common/v2.0/.well-known/openid-configuration') {
    await commonDoor(url, response);
    return;
  }
  const asked = open.find(({ path }) => request.url.startsWith(`${path}/`));
  if (!asked) {
    response.writeHead(404).end();
    return;
  }
  if (request.url.startsWith(`${asked.path}/interaction/`)) {
    await interaction(asked, request, response);
    return;
  }
  // as whoever mounts it under a path says it
  request.originalUrl = request.url;
  request.url = request.url.slice(asked.path.length);
  asked.answer(request, response);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end(String(error));
  });
});
server.listen(0, '127.0.0.1', () => {
  url = `http://127.0.0.1:${server.address().port}`;
  open = openTo(url, callbacks);
  console.log(url);
});
