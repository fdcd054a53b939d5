// The review: what was said, looked at again, and corrected or struck out.

import { send, settled } from './correction.js'
import { Lens } from './lens.js'
import { showPerson } from './people.js'
import { element, inOrder, offerLooks, percent, say, when, word, words } from './socket.js'

const SPECIAL = ['operator:another_tool', 'operator:cannot_see']

const filters = element('filters')
const large = element('large')
const picture = element('large-picture')
const lens = new Lens(element('lens'), picture)

const beginLook = inOrder()
let frames = []
let labels = []
let begin = 0
let row = frames       // among which the frame is that is shown large
let place = -1         // of it there
let wanted = null      // what is asked for before it is done: a label, or '' to strike out
let person = ''

const named = (label) => word(label) ?? label

function query() {
  const asked = new URLSearchParams()
  for (const [name, value] of new FormData(filters)) {
    if (value) asked.set(name, ['since', 'until'].includes(name) ? new Date(value) / 1000 : value)
  }
  return asked
}

const source = ({ stamp, frame_id }) => `/review/picture?${new URLSearchParams({ stamp, frame_id })}`

// Of a frame that nobody has confirmed there is only the model's answer.
const title = (frame) => named(frame.label) || frame.answer

function caption(frame) {
  const said = frame.answer && frame.answer !== frame.label
    ? say('mistake_of', { label: named(frame.label), guess: frame.answer }) : title(frame)
  return [said, word('became', frame.outcome) ?? frame.outcome,
    frame.outcome === 'waiting' ? '' : frame.operator || words.nobody, when(frame.moment),
  ].filter(Boolean).join(' · ')
}

function opening(image, texts, frame, among, at) {
  const button = document.createElement('button')
  button.type = 'button'
  button.dataset.number = frame.number
  button.className = frame.corrected_at === null ? '' : 'corrected'
  const text = document.createElement('span')
  text.textContent = texts
  button.append(...image ? [image] : [], text)
  button.addEventListener('click', () => show(among, at))
  return button
}

function thumbnail(frame) {
  const image = document.createElement(frame.picture ? 'img' : 'span')
  if (frame.picture) {
    image.src = source(frame)
    image.loading = 'lazy'
    image.alt = ''
  } else image.className = 'blank'
  return image
}

function draw() {
  element('none').hidden = frames.length > 0
  element('frames').replaceChildren(...frames.map(
    (frame, at) => opening(thumbnail(frame), caption(frame), frame, frames, at)))
}

// What was said of one frame, side by side.
function drawConflicts(conflicts) {
  element('conflicts-card').hidden = !conflicts.length
  element('conflicts').replaceChildren(...conflicts.map((said) => {
    const item = document.createElement('li')
    item.append(thumbnail(said[0]), ...said.map((frame, at) => opening(null,
      [named(frame.label), frame.operator || words.nobody,
        frame.conflicts ? words.became_conflicting : words.stands, when(frame.moment)].join(' · '),
      frame, said, at)))
    return item
  }))
}

function choices(select, values, known = (value) => value) {
  const chosen = select.value
  const first = select.name ? [select.options[0]] : []
  select.replaceChildren(...first, ...values.map((value) => new Option(known(value), value)))
  if (values.includes(chosen)) select.value = chosen
}

async function load(from) {
  const asked = query()
  for (const kind of ['csv', 'zip']) {
    element(kind).href = `/review/confirmations.${kind}?${asked}`
    element(kind).hidden = asked.get('outcome') === 'waiting'
  }
  asked.set('begin', from)
  const isNewest = beginLook()
  try {
    const response = await fetch(`/review/frames?${asked}`)
    if (response.status === 401) location.reload()
    if (!response.ok) throw new Error(response.status)
    const told = await response.json()
    if (!isNewest()) return
    person = told.person
    showPerson(told)
    element('trouble').textContent = told.journal === 'ok' ? '' : words[`journal_${told.journal}`]
    element('trouble').hidden = told.journal === 'ok'
    if (told.journal !== 'ok') return
    frames = from ? [...frames, ...told.frames] : told.frames
    begin = told.more
    labels = [...told.labels, ...SPECIAL]
    element('more').hidden = !begin
    element('count').textContent = told.n
    choices(filters.elements.label, labels, named)
    choices(filters.elements.answer, told.labels)
    choices(filters.elements.operator, told.operators.filter(Boolean))
    choices(filters.elements.outcome, [...Object.keys(told.outcomes), 'corrected', 'waiting'],
      (outcome) => word('became', outcome) ?? outcome)
    const alarms = new Map(told.alarms.map(({ number, moment, label }) =>
      [String(number), [when(moment), label].filter(Boolean).join(' · ')]))
    choices(filters.elements.alarm, [...alarms.keys()], (number) => alarms.get(number))
    drawConflicts(told.conflicts)
    drawAgreement(told)
    draw()
  } catch {
    element('trouble').textContent = words.offline
    element('trouble').hidden = false
  }
}

function drawAgreement({ agreement, kappas }) {
  element('agreement').replaceChildren(...agreement.map(({ operator, n, right, low, high }) => {
    const row = document.createElement('tr')
    const share = (p) => Math.round(100 * p)
    for (const text of [operator || words.nobody, n,
      `${share(right / n)} % [${share(low)}, ${share(high)}]`]) row.insertCell().textContent = text
    return row
  }))
  element('kappas').textContent = kappas.length
    ? kappas.map((pair) => say('kappa', { ...pair, kappa: pair.kappa.toFixed(2),
      low: pair.low.toFixed(2), high: pair.high.toFixed(2) })).join(' ') : words.no_kappa
}

// -- one frame, large ----------------------------------------------------------------------------

function show(among, at) {
  if (!among[at]) return
  row = among
  place = at
  const frame = row[at]
  element('large-title').textContent = title(frame)
  picture.hidden = !frame.picture
  picture.src = frame.picture ? source(frame) : ''
  picture.alt = caption(frame)
  const waits = frame.outcome === 'waiting'
  const facts = [[words.confirmed_label, named(frame.label)], [words.model_answer,
    frame.answer && `${frame.answer} ${(100 * frame.probability).toFixed(1)} %`],
  [words.nll_mean, frame.nll === null ? '' : Number(frame.nll).toFixed(3)],
  [words.decided, word('decision', frame.decision) ?? frame.decision],
  [words.outcome, word('became', frame.outcome) ?? frame.outcome],
  [words.who, waits ? '' : frame.operator || words.nobody], [words.when, when(frame.moment)],
  [words.asked, word('asked', frame.because)], [words.asked_with, frame.asked === null ? '' : `${percent(frame.asked)} %`],
  [words.was_said, frame.corrected_at === null ? '' : say('corrected_by', {
    label: named(frame.said), operator: frame.corrected_by || words.nobody,
    time: when(frame.corrected_at) })]]
  element('about').replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) => {
    const term = document.createElement('dt')
    const told = document.createElement('dd')
    term.textContent = name
    told.textContent = value
    return [term, told]
  }))
  choices(element('right'), labels.filter((label) => label !== frame.label), named)
  // What repeats another confirmation, or waits for its frame, counts for nothing.
  element('change').hidden = !(frame.counts || frame.conflicts)
  element('correct').disabled = !frame.counts
  element('strike').disabled = false
  element('became').textContent = ''
  ask(null)
  lens.reset()
  if (!large.open) large.showModal()
}

element('larger').addEventListener('click', () => lens.zoom(1.5))
element('smaller').addEventListener('click', () => lens.zoom(1 / 1.5))
element('before').addEventListener('click', () => show(row, place - 1))
element('after').addEventListener('click', () => show(row, place + 1))
element('close').addEventListener('click', () => large.close())

large.addEventListener('keydown', (event) => {
  if (event.target.matches('select') || event.ctrlKey || event.altKey || event.metaKey) return
  if (!lens.press(event.key)) {
    if (event.key === '0') lens.reset()
    else if (event.key === 'ArrowLeft') show(row, place - 1)
    else if (event.key === 'ArrowRight') show(row, place + 1)
    else return
  }
  event.preventDefault()
})

// -- correcting: asked once, then done -----------------------------------------------------------

function ask(label) {
  wanted = label
  element('ask').hidden = label === null
  if (label === null) return
  element('ask-text').textContent = label ? say('sure_correct', { label: named(label) })
    : words.sure_strike
  element('yes').focus()
}

element('correct').addEventListener('click', () => ask(element('right').value))
element('strike').addEventListener('click', () => ask(''))
element('no').addEventListener('click', () => ask(null))
element('yes').addEventListener('click', async () => {
  const { number, stamp, frame_id } = row[place]
  const message = { stamp, frame_id, label: wanted, operator: person, of: String(number) }
  ask(null)
  element('became').textContent = words.acting
  let nonce
  try {
    nonce = await send('review', message)
  } catch (error) {
    element('became').textContent = say('refused', { why: error.message })
    return
  }
  tell(await settled('review', nonce), number)
})

// What was shown may stand elsewhere now, or not be among those that are asked for.
function showAgain(at) {
  if (at >= 0) show(frames, at)
  else {
    place = -1
    ask(null)
    element('correct').disabled = element('strike').disabled = true
  }
}

async function tell(outcome, number) {
  const shown = row[place]?.number
  await load(0)
  if (large.open) showAgain(frames.findIndex((frame) => frame.number === shown))
  if (shown !== number) return  // another one is looked at meanwhile
  element('became').textContent = outcome === 'refused' ? words.correction_refused
    : say('correction_done', { outcome: word('became', outcome) ?? outcome })
}

filters.addEventListener('change', () => load(0))
filters.addEventListener('submit', (event) => event.preventDefault())
element('more').addEventListener('click', () => load(begin))
offerLooks(element('theme'))
load(0)
