// Writes to the server: JSON with the token of this page, and errors that a person can read.

const token = document.querySelector('meta[name="palate-token"]').content;
const command = document.querySelector('meta[name="palate-command"]').content;
const PATIENCE_MS = 15_000;
// Not signed in (any more), a page older than its cookie, a slow or busy server: all these pass.
const PASSING = [401, 403, 408, 421, 429];

export class Trouble extends Error {
  // `lasting`: trying again cannot help.
  constructor(message, { lasting = false, status = 0 } = {}) {
    super(message);
    this.lasting = lasting;
    this.status = status;
  }
}

export async function post(path, content) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Palate-Token": token },
      body: JSON.stringify(content),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Trouble(`The server does not answer. Is ${command} still running?`);
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const message = answer.error ?? `The server answered ${response.status}.`;
  const passes = response.status >= 500 || PASSING.includes(response.status);
  throw new Trouble(message, { lasting: !passes, status: response.status });
}
