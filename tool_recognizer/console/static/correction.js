// A correction on its way: sent once, then asked after until it is known what became of it.
// `room` is who corrects: 'review', or 'mine' for an operator's own.

import { makeNonce, word, words } from './socket.js'

// Milliseconds between two looks at what became of it.
const LOOK = 700

// Send it; returns its mark. Throws why it was not taken, in the page's language.
export async function send(room, message) {
  const nonce = makeNonce()
  let response
  try {
    response = await fetch(`/${room}/correct`, { method: 'POST',
      body: JSON.stringify({ kind: 'answer', nonce, ...message }) })
  } catch {
    throw new Error(words.offline)
  }
  if (response.ok) return nonce
  if (response.status === 401) {
    location.reload()  // the page asks for the name and password then
    throw new Error(words.no_login)
  }
  // What no page refuses, but who stands before them, is a line of text.
  const { reason, why } = await response.json().catch(() => ({
    why: response.status === 403 ? words.forbidden : words.failed }))
  throw new Error(word('why', reason) ?? why)
}

// Wait for what became of it, also while the console is away: what was taken stays.
export async function settled(room, nonce) {
  for (;;) {
    await new Promise((done) => { setTimeout(done, LOOK) })
    try {
      const response = await fetch(`/${room}/outcome?nonce=${nonce}`)
      if (response.status === 401) location.reload()
      const { outcome } = await response.json()
      if (outcome !== null) return outcome
    } catch { /* see above */ }
  }
}
