// Lets the forms of class "passkey" be answered by one: asks the server what to ask (the form's address and "/options"), asks the
// browser, and posts the form with the answer. Nothing of the page is touched but a mark on its root, by which the forms are seen,
// and a line where something failed.
const words = {
  NotAllowedError: "No passkey was used. You can try again, or go another way.",
  InvalidStateError: "This device has a passkey for your account already.",
};
const failed = "That did not work with a passkey. Please try again, or go another way.";

const tell = (text) => {
  let bar = document.querySelector(".told");
  if (!bar) {
    bar = document.createElement("div");
    bar.className = "broken told";
    bar.setAttribute("role", "alert");
    document.body.append(bar);
  }
  bar.textContent = text;
};

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

// Older browsers know neither way by JSON (WebAuthn level 3).
const read = (options) => {
  const known = (list) => list?.map((each) => ({ ...each, id: bytes(each.id) }));
  return {
    ...options,
    challenge: bytes(options.challenge),
    user: options.user && { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: known(options.excludeCredentials) ?? [],
    allowCredentials: known(options.allowCredentials) ?? [],
  };
};
const write = ({ id, rawId, type, response }) => {
  const written = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) written[name] = text(response[name]);
  }
  return { id, rawId: text(rawId), type, response: written, clientExtensionResults: {} };
};

const ask = async (options) => {
  const Kind = PublicKeyCredential;
  const made = options.user
    ? await navigator.credentials.create({
        publicKey: Kind.parseCreationOptionsFromJSON?.(options) ?? read(options),
      })
    : await navigator.credentials.get({
        publicKey: Kind.parseRequestOptionsFromJSON?.(options) ?? read(options),
      });
  return made.toJSON?.() ?? write(made);
};

const post = (form, fields) => {
  const filled = document.createElement("form");
  filled.method = "post";
  filled.action = form.getAttribute("action");
  filled.hidden = true;
  for (const [name, value] of fields) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = name;
    field.value = value;
    filled.append(field);
  }
  document.body.append(filled);
  filled.submit();
};

let isAsking = false;

const answer = async (form) => {
  const fields = new URLSearchParams(new FormData(form));
  const begun = await fetch(`${form.getAttribute("action")}/options`, { method: "POST", body: fields });
  const asked = await begun.json();
  // the form itself leads to where somebody shows first who they are
  if (begun.status === 401 || asked.code === "proof_required") return post(form, fields);
  if (!begun.ok) return tell(asked.detail ?? asked.title ?? failed);
  const credential = await ask(asked.options);
  fields.set("ceremony", asked.ceremony);
  fields.set("credential", JSON.stringify(credential));
  post(form, fields);
};

if (globalThis.PublicKeyCredential && navigator.credentials) {
  document.documentElement.dataset.passkeys = "";
  addEventListener(
    "submit",
    async (event) => {
      if (!event.target.matches("form.passkey")) return;
      event.preventDefault();
      if (isAsking) return;
      isAsking = true;
      document.querySelector(".told")?.remove();
      try {
        await answer(event.target);
      } catch (error) {
        tell(words[error.name] ?? failed);
      }
      isAsking = false;
    },
    true,
  );
}
