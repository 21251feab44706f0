// Asks the browser for a passkey, and sends its answer with the form. Without script, or in a browser that can't, a form
// that is for a passkey alone stays hidden: codes work everywhere.

const able = "PublicKeyCredential" in window && "parseRequestOptionsFromJSON" in PublicKeyCredential;

const used = (options) =>
  navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!able) {
    document.querySelector("[data-passkey-unable]")?.removeAttribute("hidden");
    continue;
  }
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    const field = form.elements.passkey;
    if (field.value) return;
    event.preventDefault();
    const options = JSON.parse(form.dataset.options);
    try {
      const answer = form.dataset.passkey === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await used(options);
      field.value = JSON.stringify(answer.toJSON());
      form.requestSubmit();
    } catch {
      form.querySelector("[data-passkey-failed]").hidden = false;
    }
  });
}

// A form that takes a code, or a passkey where the code is left empty: what to ask comes from the panel at that moment,
// for the button that was pressed.
for (const form of document.querySelectorAll("form[data-proof]")) {
  form.querySelector(able ? "[data-passkey-able]" : "[data-passkey-unable]").hidden = false;
  if (!able) continue;
  const { answer, code, csrf_token } = form.elements;
  const failed = form.querySelector("[data-passkey-failed]");
  let asking = false;
  form.addEventListener("submit", async (event) => {
    if (answer.value || code.value.trim()) return;
    event.preventDefault();
    if (asking) return;
    asking = true;
    failed.hidden = true;
    try {
      const body = new URLSearchParams({ csrf_token: csrf_token.value, purpose: event.submitter.dataset.purpose });
      const asked = await fetch(form.dataset.proof, { method: "POST", body });
      answer.value = JSON.stringify((await used(await asked.json())).toJSON());
      form.requestSubmit(event.submitter);
    } catch {
      failed.hidden = false;
    }
    asking = false;
  });
  // Back to this page: an answer counts once.
  window.addEventListener("pageshow", () => { answer.value = ""; });
}
