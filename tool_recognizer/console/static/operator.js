// The operator's page: one frame, one question, one key.
//
// A confirmation names the frame that was on the screen when the key went down, never "the current
// one". It stays in the browser's storage until the console has it on its disk, and is sent again
// after a broken connection or a reload; its nonce makes that harmless. Its messages have the kind
// 'answer'.

import { Lens } from './lens.js'
import { offerMine } from './mine.js'
import { showPerson } from './people.js'
import { absence, clock, connect, element, makeNonce, offerLooks, percent, say, store, word, words }
  from './socket.js'

// Milliseconds for which a new frame cannot be confirmed, so that a finger on its way to the old one
// does not hit the new one; and for which a notice says why a frame went away.
const GUARD = 350
const NOTICE = 1200
// Own confirmations of which it is remembered what became of them.
const MINE = 50

const picture = element('picture')
const lens = new Lens(element('stage'), picture)
const choices = element('choices')
const notice = element('notice')

let undoSeconds = 5
let wanted = null      // the request that the console wants shown
let shown = null       // the request on the screen
let loaded = null      // {stamp, frame_id, url}: the newest picture that came
let shownAt = 0
let noticeUntil = 0
let last = null        // {nonce, label, at, taken}: the newest own confirmation
let takenBack = ''     // the nonce of the newest own confirmation that this page asked to undo
let connected = false
let person = ''        // who has logged in; '' where nobody does
let place = {}         // where the console looks for the recognizer
let together = false   // whether a picture shows several frames of one tool

const same = (a, b) => a && b && a.stamp === b.stamp && a.frame_id === b.frame_id
// What another person pressed here waits until that one logs in.
const isOwn = ({ operator }) => !person || [person, ''].includes(operator)
const pending = {
  all: () => store.get('pending', []),
  add: (message) => store.set('pending', [...pending.all(), message]),
  drop: (nonce) => store.set('pending', pending.all().filter((a) => a.nonce !== nonce)),
}

function named(label) {
  return { 'operator:another_tool': words.another_tool,
    'operator:cannot_see': words.cannot_see }[label] ?? label
}

// -- the frame -----------------------------------------------------------------------------------

async function showWanted() {
  const now = performance.now()
  if (now < noticeUntil) {
    setTimeout(showWanted, noticeUntil - now + 1)
    return
  }
  notice.hidden = true
  if (!wanted) {
    shown = null
    draw()
    return
  }
  if (same(wanted, shown) || !same(wanted, loaded)) return
  const request = wanted
  picture.src = loaded.url
  try { await picture.decode() } catch { return }  // another picture took its place
  if (!same(request, wanted)) return
  shown = request
  shownAt = performance.now()
  lens.reset()
  picture.dataset.stamp = request.stamp
  const time = clock(Number(request.stamp) / 1e9, true)
  picture.alt = say('picture_alt', { time })
  element('announced').textContent = say('new_frame', { label: request.guess, time })
  draw()
  setTimeout(draw, GUARD + 1)
}

function draw() {
  picture.hidden = element('zoom').hidden = !shown
  element('nothing').hidden = Boolean(shown) || !notice.hidden
  const why = [shown && together ? words.one_object : '',
    shown?.asked ? say(shown.because ? 'why_asked_because' : 'why_asked', {
      percent: percent(shown.asked), why: word('asked', shown.because) }) : '']
  element('why').hidden = !why.some(Boolean)
  element('why').textContent = why.filter(Boolean).join(' ')
  const open = Boolean(shown) && notice.hidden && performance.now() - shownAt >= GUARD
  drawChoices()
  for (const button of document.querySelectorAll('.choice[data-label]')) {
    // Not `disabled`: that would take the focus away from who uses the keyboard.
    button.setAttribute('aria-disabled', String(!open))
    button.disabled = !shown
  }
}

function drawChoices() {
  if (!shown) {
    for (const button of choices.children) mark(button, '')
    return
  }
  const { probabilities, guess } = shown
  const labels = Object.keys(probabilities)
  const drawn = [...choices.children].map((button) => button.dataset.label)
  if (drawn.join('\n') !== labels.join('\n')) {
    choices.replaceChildren(...labels.map((label, place) => {
      const button = document.createElement('button')
      button.type = 'button'
      button.className = 'choice'
      button.dataset.label = label
      const name = document.createElement('span')
      name.append(label, document.createElement('small'))
      button.append(name)
      if (place < 9) {
        const key = document.createElement('kbd')
        key.textContent = place + 1
        button.prepend(key)
        button.setAttribute('aria-keyshortcuts', place + 1)
      }
      return button
    }))
  }
  choices.classList.toggle('many', labels.length > 6)
  for (const button of choices.children) {
    const { label } = button.dataset
    mark(button, label === guess && probabilities[label] !== null
      ? say('model_says', { percent: Math.round(100 * probabilities[label]) }) : '')
  }
}

// What the model says of a label, or '' if it says another one.
function mark(button, text) {
  button.classList.toggle('guessed', text !== '')
  button.querySelector('small').textContent = text
}

// -- confirmations -------------------------------------------------------------------------------

function confirmFrame(label) {
  if (!shown || !notice.hidden || performance.now() - shownAt < GUARD) return
  const message = { kind: 'answer', nonce: makeNonce(), stamp: shown.stamp,
    frame_id: shown.frame_id, label, operator: person || store.get('operator', '') }
  pending.add(message)
  store.set('mine', [...store.get('mine', []), message].slice(-MINE))
  last = { nonce: message.nonce, label, at: performance.now(), taken: false }
  if (!connection.send(message)) drawTrouble()
  // The console sends the next one; this frame is confirmed.
  if (same(wanted, shown)) wanted = null
  shown = null
  draw()
  drawLast()
}

function undo() {
  if (!last || element('undo').disabled) return
  takenBack = last.nonce
  connection.send({ kind: 'undo', nonce: takenBack })
}

function drawLast() {
  const left = last ? 1 - (performance.now() - last.at) / (1000 * undoSeconds) : 0
  const open = Boolean(last?.taken) && left > 0
  element('undo').disabled = !open
  element('undo-time').value = open ? left : 0
  element('last').classList.toggle('open', open)
}

function tell(text) {
  element('said').textContent = text
}

// What became of own confirmations, where it is not what an operator expects.
function tellSettled(settled) {
  const mine = store.get('mine', [])
  for (const { nonce, outcome, reason } of settled) {
    const own = mine.find((message) => message.nonce === nonce)
    if (!own) continue
    mine.splice(mine.indexOf(own), 1)
    element('settled').textContent = say(`settled_${outcome}`, { label: named(own.label),
      time: clock(Number(own.stamp) / 1e9, true), why: word('why', reason) ?? words.why_values })
  }
  store.set('mine', mine)
}

// How far the line is learned, and what was confirmed in the last 24 hours.
function drawProgress({ learned, learns, today }) {
  const texts = [Number(learned) < Number(learns) ? say('learned', { learned, learns }) : '',
    today ? say('today', { n: today }) : '']
  element('progress').textContent = texts.filter(Boolean).join(' · ')
  element('progress').hidden = !texts.some(Boolean)
}

function drawTrouble(extra = '') {
  const kept = pending.all().length
  const text = connected ? extra
    : `${words.offline} ${kept ? say('kept', { n: kept }) : ''}`
  element('trouble').textContent = text
  element('trouble').hidden = !text
}

// -- from the console ----------------------------------------------------------------------------

const connection = connect('operator', {
  up() {
    connected = true
    drawTrouble()
  },
  down() {
    connected = false
    drawTrouble()
  },
  hello(message) {
    place = message
    person = message.person
    undoSeconds = message.undo
    showPerson(message)
    drawName()
    for (const kept of pending.all().filter(isOwn)) connection.send(kept)
  },
  request({ stamp, frame_id, blob }) {
    if (loaded) URL.revokeObjectURL(loaded.url)
    loaded = { stamp, frame_id, url: URL.createObjectURL(blob) }
    showWanted()
  },
  desk({ request, gone, asking, passages, waiting, alive, heard, settled, unacknowledged,
    progress }) {
    drawProgress(progress)
    // What is confirmed here is not shown again by what the console said before it heard of that.
    wanted = pending.all().some((kept) => isOwn(kept) && same(kept, request)) ? null : request
    if (same(shown, request) && shown.because !== request.because) {
      shown = request  // why it is asked for may be known later than the frame
      draw()
    }
    if (together !== passages) {
      together = passages
      draw()
    }
    element('nothing-asked').hidden = asking
    element('nothing-now').hidden = !asking
    element('waiting').textContent = say('waiting', { n: waiting })
    tellSettled(settled)
    drawTrouble(!alive ? absence(place, heard)
      : unacknowledged ? say('unacknowledged', { n: unacknowledged }) : '')
    if (shown && !same(shown, request)) {
      const why = same(gone, shown) ? gone : null
      if (why?.why !== 'undone' || why.nonce !== takenBack) {
        // Another page or its timeout took it away: say so, and take no confirmation while it says so.
        notice.textContent = why?.why === 'expired' ? words.expired
          : why?.why === 'undone' ? words.undone_elsewhere
            : why?.operator ? say('answered_by', { operator: why.operator })
              : words.answered_elsewhere
        notice.hidden = false
        element('announced').textContent = notice.textContent
        noticeUntil = performance.now() + NOTICE
      }
      shown = null
      draw()
    }
    showWanted()
  },
  taken({ nonce }) {
    pending.drop(nonce)
    if (last?.nonce === nonce) {
      last.taken = true
      last.at = performance.now()
      tell(say('taken', { label: named(last.label) }))
    }
    drawLast()
  },
  refused({ nonce, reason, why }) {
    pending.drop(nonce)
    if (last?.nonce === nonce) last = null
    drawLast()
    tell('')
    drawTrouble(say('refused', { why: word('why', reason) ?? why }))
  },
  undone({ nonce }) {
    if (last?.nonce !== nonce) return
    tell(say('undone', { label: named(last.label) }))
    last = null
    drawLast()
  },
  too_late() {
    tell(words.too_late)
    last = null
    drawLast()
  },
})

// -- from the operator ---------------------------------------------------------------------------

document.addEventListener('click', (event) => {
  const button = event.target.closest('.choice[data-label]')
  if (button) confirmFrame(button.dataset.label)
})
element('undo').addEventListener('click', undo)
element('larger').addEventListener('click', () => lens.zoom(1.5))
element('smaller').addEventListener('click', () => lens.zoom(1 / 1.5))

// The character that a key gives; or, where it gives no Latin letter or digit, the one that stands
// in its place on an American keyboard: digits are shifted in France, letters are others in Greece,
// and an input method keeps what is typed to itself.
function character({ key, code, shiftKey }) {
  if (/^[a-z0-9]$/i.test(key)) return key.toLowerCase()
  const types = key.length === 1 || ['Process', 'Unidentified', 'Dead'].includes(key)
  return types && !shiftKey ? /^(?:Digit|Key)([0-9A-Z])$/.exec(code)?.[1].toLowerCase() : undefined
}

document.addEventListener('keydown', (event) => {
  // A key that is held down is one confirmation, not many.
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return
  if (element('name-dialog').open || element('mine').open || event.target.matches('input')) return
  const key = character(event)
  // The digits' keys are for labels first: the Czech 1 gives +, and the French 6 gives -.
  if (shown && !key && lens.press(event.key)) { /* done */ }
  else if (key === 'u') undo()
  else if (key === '0') confirmFrame('operator:another_tool')
  else if (key === 'x') confirmFrame('operator:cannot_see')
  else if (key >= '1' && key <= '9') {
    const button = choices.children[Number(key) - 1]
    if (button) confirmFrame(button.dataset.label)
  } else return
  event.preventDefault()
})

function drawName() {
  const name = store.get('operator', '')
  element('name-button').hidden = person !== ''
  element('mine-button').hidden = !(person || name)
  element('name-button').textContent = name ? say('named', { name }) : words.name_ask
}
element('name-button').addEventListener('click', () => {
  element('name').value = store.get('operator', '')
  element('name-dialog').returnValue = ''
  element('name-dialog').showModal()
})
element('name-dialog').addEventListener('close', () => {
  if (element('name-dialog').returnValue === 'save') {
    store.set('operator', element('name').value.trim())
  }
  drawName()
})

offerLooks(element('theme'))
offerMine(() => person || store.get('operator', ''), named)
drawName()
draw()
setInterval(drawLast, 100)
