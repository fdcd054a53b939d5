// What both pages share: the texts, the light and dark theme, and a WebSocket that reconnects.

export const words = JSON.parse(document.getElementById('words').textContent)

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)
}

// A text, with its {name} parts filled in.
export function say(key, values = {}) {
  return fill(words[key], values)
}

// The text for something that the node names by a code, or undefined if this page has none.
export function word(...parts) {
  return words[parts.join('_').replace(/\W/g, '_')]
}

// What the recognizer or the console says in English alone.
export function quoted(text) {
  const said = document.createElement('q')
  said.lang = 'en'
  said.textContent = text
  return said
}

// A name that nothing else has, of random bytes.
export function makeNonce(bytes = 16) {
  // randomUUID is there only in a secure context, and the console may be plain HTTP in a plant.
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)),
    (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function percent(share) {
  const value = Number((100 * share).toPrecision(2))
  return Number.isFinite(value) ? String(value) : '–'
}

// What a status says, in the page's language: a text for each code of its state. What this page has
// no text for is told as the node tells it.
export function told(name, state, values, message) {
  const texts = (state ?? '').split(', ').map((code) => {
    const text = word('said', name, code)
    return text && fill(text, { ...values, share: percent(values[`share_${code}`]) })
  })
  return texts.every(Boolean) ? texts.join('; ') : message
}

// Why nothing is heard of the recognizer: where it is looked for, and since when, in seconds.
export function absence(place, heard) {
  return heard === null ? say('waits_for', place)
    : say('recognizer_gone', { ...place, time: clock(heard, true) })
}

export function element(id) {
  return document.getElementById(id)
}

// The time of a moment in seconds, as the page's language writes it.
export function clock(moment, seconds) {
  return new Date(moment * 1000).toLocaleTimeString(document.documentElement.lang, {
    hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
    ...(seconds ? { second: '2-digit' } : {}) })
}

// The same with its date.
export function when(moment) {
  return new Date(moment * 1000).toLocaleString(document.documentElement.lang, {
    dateStyle: 'short', timeStyle: 'medium', hourCycle: 'h23' })
}

// The storage may be full or forbidden; the page lives without it.
export const store = {
  get(name, otherwise) {
    try { return JSON.parse(localStorage.getItem(name)) ?? otherwise } catch { return otherwise }
  },
  set(name, value) {
    try { localStorage.setItem(name, JSON.stringify(value)) } catch { /* see above */ }
  },
}

// As the console closes a socket whose login is over.
const LOGGED_OUT = 4401

const LOOKS = ['auto', 'light', 'dark']

export function offerLooks(button) {
  const show = () => {
    const look = store.get('look', 'auto')
    document.documentElement.dataset.look = look
    button.textContent = words[`look_${look}`]
  }
  button.addEventListener('click', () => {
    store.set('look', LOOKS[(LOOKS.indexOf(store.get('look', 'auto')) + 1) % LOOKS.length])
    show()
  })
  show()
}

// Of requests that overlap, an earlier one's answer must not replace a later one's. Call it for each
// place that shows answers, what it returns as a request begins, and what that returns once it is
// answered: whether no later one was answered before.
export function inOrder() {
  let begun = 0
  let shown = 0
  return () => {
    begun += 1
    const number = begun
    return () => {
      if (number < shown) return false
      shown = number
      return true
    }
  }
}

// A picture is a length, a JSON header of that length that names its frame, and a JPEG.
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0)
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)))
  return { ...header, blob: new Blob([new Uint8Array(buffer, 4 + length)], { type: 'image/jpeg' }) }
}

// Keep a connection to the console. `on` has a function for each kind of message, and `up` and
// `down` for the connection itself.
export function connect(view, on) {
  let socket = null
  let attempt = 0
  let asks = false  // whether the console asks for a token, or for a name and password

  // Whether what was shown to the console still counts; the page asks for it anew if not.
  async function isInside() {
    try { return (await fetch(location.pathname, { method: 'HEAD' })).status !== 401 } catch { return true }
  }

  function open() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
    socket = new WebSocket(`${scheme}://${location.host}/socket?view=${view}`)
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => { attempt = 0; on.up?.() })
    socket.addEventListener('message', ({ data }) => {
      const message = typeof data === 'string' ? JSON.parse(data) : unpack(data)
      if (message.kind === 'hello') asks = message.asks
      on[message.kind]?.(message)
    })
    socket.addEventListener('close', async ({ code }) => {
      on.down?.()
      if (code === LOGGED_OUT || (asks && !await isInside())) {
        location.reload()
        return
      }
      // Soon at first, then less often; never all pages at the same moment.
      attempt += 1
      setTimeout(open, Math.min(5000, 250 * 2 ** attempt) * (0.5 + Math.random() / 2))
    })
  }

  open()
  return {
    // Whether it was sent; if not, the caller sends it again when the connection is up.
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return false
      socket.send(JSON.stringify(message))
      return true
    },
  }
}
