// Teach a new tool: collect, train, use. What is shown comes from the console once a second, so that
// a page that is loaded again, and another engineer's, show the same.

import { showPerson } from './people.js'
import { absence, connect, element, inOrder, makeNonce, offerLooks, quoted, say, store, told, word,
  words } from './socket.js'

// Milliseconds between two looks.
const LOOK = 1000
// Milliseconds from which on a press is held, and between two views that are taken while it is.
const HELD = 500
const PAUSE = 300
const OTHER = 'other'
// By this name the console knows which page takes frames by itself.
const page = makeNonce(8)

let state = null
let status = null
let answer = null
let place = {}                        // where the console looks for the recognizer
let isCut = false                     // whether the page hears no changes from the console
let chosen = store.get('teach', '')   // the label of what is shown
const added = new Set()               // labels that have no photograph yet
let drawn = ''                        // what the photographs that are shown are of
let older = 0                         // how many of them are shown, if there are more
let open = null                       // the photograph that is shown large
let liveUrl = null
let asked = null                      // what is asked for before it is done

const named = (label) => label === OTHER ? words.teach_other : label

function cells(row, ...contents) {
  for (const content of contents) {
    const cell = row.insertCell()
    if (typeof content === 'string' || typeof content === 'number') cell.textContent = content
    else cell.append(...[content].flat())
  }
  return row
}

const share = (value) => `${Math.round(100 * value)}\u00a0%`
const figure = (value) => Number(value).toFixed(2)
// A figure with the ends of its interval; without them there is none.
const within = (write, value, low, high) => (typeof high === 'number'
  ? `${write(value)} [${write(low)},\u00a0${write(high)}]` : '–')
const signed = (value) => {
  const size = Math.abs(value)
  return `${value < 0 ? '−' : '+'}${size.toFixed(size < 0.1 ? 3 : 2)}`
}

// -- asking the console --------------------------------------------------------------------------

// What is wrong, in the page's language where there are words for it.
function trouble({ reason, why, named: values = {} }) {
  const text = reason === 'camera' && told('input', values.code, values, '')
  if (text) return [text]
  return words[`teach_no_${reason}`] ? [say(`teach_no_${reason}`, values)]
    : [`${words.failed}. `, quoted(why ?? reason)]
}

function tell(place, ...said) {
  element(place).replaceChildren(...said)
}

async function post(path, fields, place) {
  tell(place, words.acting)
  try {
    const response = await fetch(`/teach/${path}`, { method: 'POST', body: JSON.stringify({
      page, person: element('who').value.trim(), ...fields }) })
    if (response.status === 401) location.reload()
    if (response.status === 403) throw new Error(words.forbidden)
    const said = await response.json()
    if (!response.ok) {
      tell(place, ...trouble(said))
      return null
    }
    // What a look meanwhile has said of it stays.
    if (element(place).textContent === words.acting) tell(place, '')
    await load()
    return said
  } catch (error) {
    tell(place, error instanceof TypeError ? words.offline : error.message)
    return null
  }
}

const beginLook = inOrder()

async function load() {
  const isNewest = beginLook()
  try {
    const response = await fetch(`/teach/state?page=${page}`)
    if (response.status === 401) location.reload()
    const said = await response.json()
    if (!isNewest()) return
    if (!response.ok) {
      showTrouble(...trouble(said))
      return
    }
    state = said
    showPerson(state)
    showTrouble(state.off ? words.teach_no_off : notHeard())
    document.querySelector('main').hidden = Boolean(state.off)
    if (!state.off) draw()
  } catch {
    showTrouble(words.offline)
  }
}

// Whether what the recognizer said is not of now: it, or the console, is not heard any more.
const isOld = () => isCut || status?.alive === false

function notHeard() {
  if (isCut) return words.offline
  return status?.alive === false ? absence(place, status.heard) : ''
}

// What is not of now is grey, no decision stands, and nobody is said to be in charge.
function drawFreshness() {
  document.body.classList.toggle('old', isOld())
  if (isOld() && !state?.off) showTrouble(notHeard())
  drawAnswer()
  if (state && !state.off) drawVersions()
}

function showTrouble(...said) {
  element('trouble').replaceChildren(...said)
  element('trouble').hidden = said.every((part) => !part)
}

// -- 1, collect ----------------------------------------------------------------------------------

function labels() {
  const known = state.labels.map(({ label }) => label)
  return [...known.filter((label) => label !== OTHER),
    ...[...added].filter((label) => !known.includes(label)), OTHER]
}

function choose(label) {
  chosen = label
  store.set('teach', label)
  drawn = ''
  draw()
  // What is taken by itself is of the label that the page shows.
  if (state?.auto?.own && state.auto.label !== label) take('auto')
}

function drawLabels() {
  const counts = new Map(state.labels.map(({ label, n }) => [label, n]))
  const made = labels().map((label) => `${label} ${counts.get(label) ?? 0}`).join('\n')
  const place = element('labels')
  if (place.dataset.made !== made + chosen) {
    place.dataset.made = made + chosen
    place.replaceChildren(...labels().map((label) => {
      const button = document.createElement('button')
      const count = document.createElement('small')
      button.type = 'button'
      button.className = 'quiet'
      button.dataset.label = label
      button.setAttribute('aria-pressed', String(label === chosen))
      count.textContent = counts.get(label) ?? 0
      button.append(named(label), count)
      button.addEventListener('click', () => choose(label))
      return button
    }))
  }
  const { auto } = state
  element('one').disabled = !chosen || (auto !== null && !auto.own)
  element('auto').disabled = element('one').disabled
  element('auto').textContent = auto?.own ? words.teach_stop : words.teach_auto
  element('auto').setAttribute('aria-pressed', String(Boolean(auto?.own)))
}

// What became of the last frame, and how many were refused for what.
function drawTook() {
  const { last, refused, auto } = state
  if (auto && !auto.own) {
    tell('took', say('teach_no_others', { person: auto.person || words.nobody, label: named(auto.label) }))
  } else if (last && (auto || element('took').dataset.number !== String(last.number))) {
    element('took').dataset.number = last.number
    tell('took', ...became(last))
  }
  const reasons = Object.entries(refused).map(([reason, n]) => `${why(reason)} ${n}`)
  element('refused').textContent = reasons.length
    ? say('teach_refused', { n: reasons.join(', ') }) : ''
}

const why = (reason) => word('teach_refused', reason) ?? word('decision', reason) ?? word('dropped', reason) ?? reason

function became({ reason, why: text, label, novelty, named: values }) {
  if (!reason) {
    return [novelty === null ? say('teach_took_first', { label: named(label) })
      : say('teach_took', { label: named(label), degrees: Math.round(novelty) })]
  }
  const cure = word('teach_cure', reason)
  return cure ? [cure] : trouble({ reason, why: text, named: values })
}

function drawCounts() {
  element('counts').replaceChildren(...state.labels.map(({ label, n, new: views, missing, more }) => {
    const row = document.createElement('tr')
    row.dataset.label = label
    row.dataset.missing = missing
    const bars = views.map((degrees) => {
      const meter = document.createElement('meter')
      meter.max = 90
      meter.value = degrees
      meter.title = `${Math.round(degrees)}°`
      meter.setAttribute('aria-label', meter.title)
      return meter
    })
    return cells(row, named(label), n, bars, label === OTHER && missing === 'all'
      ? words.teach_missing_other : say(`teach_missing_${missing}`, { n: more }))
  }))
}

async function drawPhotographs() {
  element('shown-title').textContent = chosen ? say('teach_photographs_of', { label: named(chosen) }) : ''
  const entry = state.labels.find(({ label }) => label === chosen)
  const key = `${chosen} ${entry?.n} ${state.taken}`
  if (key === drawn) return
  drawn = key
  if (!entry?.n) {
    element('photographs').replaceChildren()
    element('older').hidden = true
    return
  }
  await showPhotographs(0)
}

// Show the newest, or beneath what is shown those that are older.
async function showPhotographs(begin) {
  try {
    const label = chosen
    const response = await fetch(`/teach/photographs?${new URLSearchParams({ label, begin })}`)
    const { photographs, more } = await response.json()
    if (label !== chosen) return
    if (!photographs) {
      drawn = ''
      return
    }
    older = more
    element('older').hidden = !more
    const made = photographs.map(({ name }) => thumbnail(
      `/teach/photograph?${new URLSearchParams({ label, name })}`, named(label),
      () => enlarge(label, name)))
    if (begin) element('photographs').append(...made)
    else element('photographs').replaceChildren(...made)
  } catch { drawn = '' }
}
element('older').addEventListener('click', async () => {
  element('older').disabled = true   // so that none is shown twice
  await showPhotographs(older)
  element('older').disabled = false
})

function thumbnail(source, text, act) {
  const button = document.createElement('button')
  const image = document.createElement('img')
  button.type = 'button'
  image.src = source
  image.alt = text
  image.loading = 'lazy'
  button.append(image)
  button.addEventListener('click', act)
  return button
}

function enlarge(label, name) {
  open = { label, name }
  element('large-title').textContent = named(label)
  element('large-picture').src = `/teach/photograph?${new URLSearchParams(open)}`
  element('to').replaceChildren(...labels().filter((other) => other !== label)
    .map((other) => new Option(named(other), other)))
  tell('large-said', '')
  element('large').showModal()
}

for (const [id, fields] of [['relabel', () => ({ to: element('to').value })], ['delete', () => ({})]]) {
  element(id).addEventListener('click', async () => {
    if (await post(id, { ...open, ...fields() }, 'large-said') === null) return
    element('large').close()
    drawn = ''
    draw()
  })
}
element('close').addEventListener('click', () => element('large').close())

element('new').addEventListener('submit', (event) => {
  event.preventDefault()
  const name = element('name').value.trim()
  if (!name) return
  added.add(name)
  element('name').value = ''
  choose(name)
})
element('one').addEventListener('click', () => { if (!wasHeld) take('one') })
element('auto').addEventListener('click', () => take(state?.auto?.own ? 'stop' : 'auto'))

async function take(mode) {
  const last = await post('collect', { mode, label: chosen }, 'took')
  if (last?.number) {
    element('took').dataset.number = last.number
    tell('took', ...became(last))
  }
  return last
}

// While the button or the space bar is held, one view after another is taken.
let held = null       // the press that is held; once it ends, or another begins, it takes no more
let wasHeld = false   // the click at the end of a held press takes none
let press = 0

async function hold() {
  if (wasHeld) return
  const own = {}
  held = own
  wasHeld = true
  while (held === own && !element('one').disabled) {
    if (await take('one') === null) return   // what is wrong is said once
    await new Promise((resolve) => setTimeout(resolve, PAUSE))
  }
}

function release() {
  clearTimeout(press)
  held = null
  setTimeout(() => { wasHeld = false })
}

element('one').addEventListener('pointerdown', ({ button }) => {
  clearTimeout(press)
  if (button === 0) press = setTimeout(hold, HELD)
})
for (const end of ['pointerup', 'pointercancel', 'blur']) window.addEventListener(end, release)
document.addEventListener('keyup', (event) => {
  if (event.key !== ' ') return
  if (event.target === element('one')) event.preventDefault()   // it was pressed already
  release()
})

document.addEventListener('keydown', (event) => {
  if (event.key !== ' ' || event.target.matches('input, button:not(#one), select, summary, a')
    || element('large').open || element('sure').open) return
  event.preventDefault()
  if (element('one').disabled) return
  if (event.repeat) hold()
  else take('one')
})

// What operators called another tool may become one: looked for each time that the box is opened.
const takenHere = new Set()
const beginLine = inOrder()

async function loadLine() {
  const isNewest = beginLine()
  try {
    const response = await fetch(`/review/frames?${new URLSearchParams({
      label: 'operator:another_tool' })}`)
    const { frames = [] } = await response.json()
    if (!isNewest()) return
    const pictured = frames.filter((frame) => frame.picture)
    element('line-count').textContent = pictured.length
    element('line-how').textContent = pictured.length
      ? words.teach_from_line_how : words.teach_from_line_none
    element('line-frames').replaceChildren(...pictured.map(({ stamp, frame_id }) => {
      const key = `${stamp} ${frame_id}`
      const button = thumbnail(
        `/review/picture?${new URLSearchParams({ stamp, frame_id })}`, words.teach_take_it,
        async () => {
          if (!chosen) {
            tell('took', words.teach_choose)
            return
          }
          const took = await post('picture', { label: chosen, stamp, frame_id }, 'took')
          if (!took) return
          tell('took', ...became(took))
          if (took.reason) return
          takenHere.add(key)
          button.classList.add('corrected')
        })
      button.classList.toggle('corrected', takenHere.has(key))
      return button
    }))
  } catch { /* the journal is not needed */ }
}
element('line-box').addEventListener('toggle', ({ target }) => { if (target.open) loadLine() })

// -- 2, train ------------------------------------------------------------------------------------

function drawTraining() {
  if (!state || state.off) return
  const { training, labels: counts } = state
  const enough = counts.filter(({ label, n }) => label !== OTHER && n > 1)
  const gone = counts.filter(({ label, n, known }) => known && !n && label !== OTHER)
    .map(({ label }) => label)
  const journal = state.journal && element('journal').checked
  element('with-journal').hidden = !state.journal
  element('not-enough').textContent = [
    enough.length < 2 && !journal ? words.teach_no_two : '',
    gone.length && !journal ? say('teach_gone', { labels: gone.join(', ') }) : ''].filter(Boolean).join(' ')
  const running = training.state === 'running'
  element('train').disabled = running || (enough.length < 2 && !journal)
  element('cancel').hidden = !running
  element('training').hidden = !running
  if (running) {
    const { step } = training
    if (step) {
      element('bar').value = step.number / step.total
      tell('trained', say('teach_running', { person: training.by,
        what: word('teach_step', step.what) ?? step.what, number: step.number, total: step.total }))
    } else {
      element('bar').removeAttribute('value')
      tell('trained', say('teach_begun', { person: training.by }))
    }
    element('trained').dataset.ended = ''
  } else if (element('trained').dataset.ended !== String(training.ended)) {
    // Once, so that what is said of a press later stays.
    element('trained').dataset.ended = training.ended
    if (training.state === 'failed') tell('trained', words.teach_failed, ' ', quoted(training.why))
    else if (training.state !== 'none') tell('trained', say(`teach_${training.state}`, training))
  }
}

const OUTCOME = {
  lost: (gate) => say('gate_lost', { labels: gate.lost.join(', ') }),
  none: () => words.gate_none,
}

function gateText(gate) {
  if (!gate) return ''
  if (gate.plain) return words.gate_plain
  if (gate.lost?.length) return OUTCOME.lost(gate)
  const confirmed = typeof gate.confirmed?.high === 'number'
    ? ` ${say(gate.confirmed.worse ? 'gate_worse' : 'gate_confirmed', difference(gate.confirmed))}` : ''
  if (typeof gate.high !== 'number') {
    return gate.frames ? gate.words : confirmed ? words.gate_none_held + confirmed : OUTCOME.none()
  }
  return say(gate.high < 0 ? 'gate_passed' : 'gate_not_passed', difference(gate)) + confirmed
}

const difference = ({ frames, low, high }) => ({ n: frames, low: signed(low), high: signed(high) })

function drawCandidate() {
  const [newest] = state.store.versions.filter(({ damage }) => !damage)
  const perLabel = newest?.held_out?.per_label
  element('candidate').hidden = !perLabel
  if (!perLabel || element('candidate').dataset.version === newest.version) return
  element('candidate').dataset.version = newest.version
  element('candidate-title').textContent = say('teach_candidate', { version: newest.version })
  element('gate').textContent = gateText(newest.gate)
  element('held-out').replaceChildren(...Object.entries(perLabel).map(([label, held]) => cells(
    document.createElement('tr'), label, held.photographs,
    within(share, held.recall, held.low, held.high),
    within(figure, held.nll, held.nll_low, held.nll_high))))
  element('advice').replaceChildren(...(newest.held_out.advice ?? []).map((line) => {
    const item = document.createElement('li')
    item.append(quoted(line))
    return item
  }))
}

element('train').addEventListener('click', () => post('train', {
  journal: state.journal && element('journal').checked ? 'yes' : 'no' }, 'trained'))
element('cancel').addEventListener('click', () => post('cancel', {}, 'trained'))
element('journal').addEventListener('change', () => drawTraining())

// -- 3, use --------------------------------------------------------------------------------------

function drawVersions() {
  const health = isOld() ? {} : status?.health ?? {}
  const running = health.inference?.values.model_digest
  const shadow = health.shadow?.values
  const { versions, in_charge: wanted, before, why: broken } = state.store
  const key = JSON.stringify([versions, wanted, before, running, shadow?.model_digest])
  // Back at the model that ships, by the store; the recognizer was not told.
  const isUnloaded = state.store.went_back && running && running !== state.store.shipped
  if (broken) showTrouble(quoted(broken))
  element('unloaded').hidden = !isUnloaded
  element('back').disabled = before === null && !isUnloaded
  element('back').textContent = before === null && !isUnloaded ? words.teach_back : before
    ? say('teach_back_to', { version: before }) : words.teach_back_shipped
  element('beside').textContent = shadow?.model_digest ? besideText(shadow, versions) : ''
  if (element('versions').dataset.made === key) return
  element('versions').dataset.made = key
  element('versions').replaceChildren(...versions.map((one) => {
    const row = document.createElement('tr')
    row.dataset.version = one.version
    if (one.damage) return cells(row, one.version, '', '', '', quoted(one.damage), '')
    const all = one.held_out?.all
    const inCharge = one.digest === running
    const isBeside = one.digest === shadow?.model_digest
    const says = [inCharge ? words.teach_in_charge : '', isBeside ? words.teach_is_beside : '',
      one.version === wanted && !inCharge && running ? words.teach_wanted : '', gateText(one.gate)]
    row.classList.toggle('chosen', inCharge)
    const buttons = []
    if (!inCharge && !isBeside) buttons.push(actor('beside', one.version, words.teach_try))
    if (!inCharge) buttons.push(actor('charge', one.version, words.teach_charge))
    if (one.report) {
      const link = document.createElement('a')
      link.className = 'quiet'
      link.href = `/teach/report?version=${one.version}`
      link.download = `report-${one.version}.html`
      link.textContent = words.teach_report
      buttons.push(link)
    }
    return cells(row, one.version, one.labels.join(', '),
      `${one.by}, ${new Date(one.added).toLocaleString(document.documentElement.lang, {
        dateStyle: 'short', timeStyle: 'short', hourCycle: 'h23' })}`,
      all ? say('teach_held', { accuracy: within(share, all.recall, all.low, all.high),
        nll: within(figure, all.nll, all.nll_low, all.nll_high), n: all.photographs }) : '',
      says.filter(Boolean).join(' · '), buttons)
  }))
}

// How the candidate that runs beside does: on what both know, and on what it alone knows.
function besideText(shadow, versions) {
  const version = versions.find(({ digest }) => digest === shadow.model_digest)?.version
    ?? shadow.model.split('/').pop()
  const parts = [Number(shadow.n) > 0 ? say('teach_beside_both', {
    version, verdict: told('shadow', shadow.state, shadow, shadow.state), n: shadow.n,
    difference: signed(Number(shadow.nll_difference)),
    low: signed(Number(shadow.nll_difference_ci_low)),
    high: signed(Number(shadow.nll_difference_ci_high)) }) : say('teach_beside_none', { version })]
  if (shadow.own_labels) {
    parts.push(Number(shadow.own_n) > 0 ? say('teach_beside_own', { labels: shadow.own_labels,
      n: shadow.own_n, right: share(Number(shadow.own_accuracy)),
      low: share(Number(shadow.own_accuracy_low)), high: share(Number(shadow.own_accuracy_high)) })
      : say('teach_beside_own_none', { labels: shadow.own_labels }))
  }
  return parts.join(' ')
}

function actor(path, version, text) {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'quiet'
  button.textContent = text
  button.dataset.act = path
  button.addEventListener('click', () => {
    if (path === 'beside') use(path, { version })
    else ask(path, { version }, text, [gateText(state.store.versions.find(
      (one) => one.version === version)?.gate), words.teach_sure_charge])
  })
  return button
}

element('back').addEventListener('click', () => ask('back', { version: state.store.before ?? '' },
  element('back').textContent, [words.teach_sure_back]))

function ask(path, fields, title, lines) {
  asked = { path, fields }
  element('sure-title').textContent = title
  element('sure-text').textContent = lines.filter(Boolean).join(' ')
  element('sure').returnValue = ''
  element('sure').showModal()
}

element('sure').addEventListener('close', async () => {
  if (element('sure').returnValue !== 'yes') return
  use(asked.path, asked.fields)
})

async function use(path, fields) {
  if (await post(path, fields, 'acted') !== null) tell('acted', words.done)
}

// -- all of it -----------------------------------------------------------------------------------

function draw() {
  if (!state || state.off) return
  element('who-box').hidden = Boolean(state.person)
  drawLabels()
  drawTook()
  drawCounts()
  drawPhotographs()
  element('line-box').hidden = !state.journal
  drawTraining()
  drawCandidate()
  drawVersions()
}

function drawAnswer() {
  if (!answer) return
  const { decision, score } = answer
  element('decision').textContent = isOld() ? '' : score ? `${decision} ${(100 * score).toFixed(1)} %`
    : word('decision', decision) ?? decision
}

connect('teach', {
  up() { isCut = false; drawFreshness() },
  down() { isCut = true; drawFreshness() },
  hello(message) {
    place = message
    showPerson(message)
  },
  live({ blob }) {
    const url = URL.createObjectURL(blob)
    element('live').src = url
    element('live').hidden = false
    element('no-live').hidden = true
    if (liveUrl) URL.revokeObjectURL(liveUrl)
    liveUrl = url
  },
  answer(message) { answer = message; drawAnswer() },
  status(message) {
    status = message
    drawFreshness()
  },
})

async function goOn() {
  await load()
  setTimeout(goOn, LOOK)
}

// What was typed before this page listened stays.
element('who').value ||= store.get('operator', '')
element('who').addEventListener('change', () => store.set('operator', element('who').value.trim()))
offerLooks(element('theme'))
goOn()
