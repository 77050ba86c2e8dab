// Requests to this server, and its errors in one line. Addresses are relative: a proxy may put the page below a path.

const KEY = "lmforge-key"; // in sessionStorage: it is gone with the tab

/** What a request failed with; `status` is 0 where there was no answer at all. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const key = () => sessionStorage.getItem(KEY) ?? "";
export const setKey = (value) => sessionStorage.setItem(KEY, value);

/** The body of a GET, as JSON. */
export const get = async (path) => (await request(path)).json();

/** The body of a POST, as JSON. */
export const post = async (path, body, signal) => (await send(path, body, signal)).json();

/** The events of a POST that answers with server-sent events, as JSON. */
export async function* stream(path, body, signal) {
  const response = await send(path, body, signal);
  let left = "";
  for await (const text of texts(response.body, signal)) {
    const events = (left + text).split("\n\n");
    left = events.pop();
    for (const event of events) {
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return;
      const parsed = JSON.parse(data);
      if (parsed.error) throw new ApiError(response.status, parsed.error.message);
      yield parsed;
    }
  }
  throw new ApiError(0, "the connection ended before the answer did");
}

// The iterator of a stream itself is missing in some browsers.
async function* texts(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, "the connection broke before the answer ended");
  }
}

const send = (path, body, signal) =>
  request(path, {
    method: "POST",
    body: JSON.stringify(body),
    signal,
    headers: { "content-type": "application/json" },
  });

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(key() && { authorization: `Bearer ${key()}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "the server does not answer");
  }
  if (response.ok) return response;
  if (response.status === 401) dispatchEvent(new Event("key-needed"));
  throw new ApiError(response.status, await reason(response));
}

async function reason(response) {
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // a proxy answers in its own form
  }
  const again = response.headers.get("retry-after");
  return response.status === 429 && again ? `${message} (again in ${again} s)` : message;
}
