// Who did what, as the journal has it; an admin ends the logins of others here.

import { showPerson } from './people.js'
import { element, offerLooks, quoted, say, when, word, words } from './socket.js'

let rows = []
let before = 0

// Of these what the recognizer said names the model.
const NAMING = ['reload_model', 'promote_shadow']

function told({ action, outcome, label, stamp, what, why }) {
  if (action === 'correct') {
    return [label ? say('deed_correct', { label: word(label) ?? label, time: when(Number(stamp) / 1e9) })
      : say('deed_strike', { time: when(Number(stamp) / 1e9) })]
  }
  if (action === 'confirm') {
    return [say('deed_confirm', { label: word(label) ?? label, time: when(Number(stamp) / 1e9),
      outcome: word('became', outcome) ?? outcome })]
  }
  const text = action === 'end_logins' ? say('deed_end_logins', { what })
    : [word('deed', action) ?? action, what].filter(Boolean).join(': ')
  if (outcome === 'asked') return [`${text} ${words.deed_asked}`]
  if (outcome === 'failed') return [`${text} ${words.deed_failed} `, quoted(why)]
  return NAMING.includes(action) && why ? [`${text}: `, quoted(why)] : [text]
}

function draw() {
  const whom = element('whom').value
  const shown = rows.filter(({ person }) => !whom || person === whom)
  element('none').hidden = shown.length > 0
  element('deeds').replaceChildren(...shown.map((deed) => {
    const row = document.createElement('tr')
    row.insertCell().textContent = when(deed.moment)
    row.insertCell().textContent = deed.person || words.nobody
    row.insertCell().append(...told(deed))
    return row
  }))
}

function drawPeople() {
  const known = new Set([...element('whom').options].map((option) => option.value))
  for (const person of [...new Set(rows.map((deed) => deed.person))].sort()) {
    if (known.has(person)) continue
    element('whom').add(new Option(person, person))
  }
}

function drawInside(names) {
  element('inside').hidden = !names
  element('names').replaceChildren(...(names ?? []).map((name) => {
    const item = document.createElement('li')
    const button = document.createElement('button')
    item.append(name, button)
    button.className = 'quiet'
    button.textContent = words.end_logins
    button.setAttribute('aria-label', `${words.end_logins}: ${name}`)
    button.addEventListener('click', async () => {
      await fetch('/end', { method: 'POST', body: new URLSearchParams({ name }) })
      load(0)
    })
    return item
  }))
}

async function load(from) {
  try {
    const response = await fetch(`/deeds?before=${from}`)
    if (response.status === 401) location.reload()
    if (!response.ok) throw new Error(response.status)
    const { person, role, deeds, more, inside, journal } = await response.json()
    showPerson({ person, role })
    rows = from ? [...rows, ...deeds] : deeds
    before = more
    element('older').hidden = !more
    element('trouble').textContent = journal === 'ok' ? '' : words[`journal_${journal}`]
    element('trouble').hidden = journal === 'ok'
    drawInside(inside)
    drawPeople()
    draw()
  } catch {
    element('trouble').textContent = words.offline
    element('trouble').hidden = false
  }
}

element('whom').addEventListener('change', draw)
element('older').addEventListener('click', () => load(before))
offerLooks(element('theme'))
load(0)
