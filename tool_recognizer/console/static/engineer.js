// The engineer's page: what the model sees, how well it does, and why an alarm is on.

import { Chart, show } from './chart.js'
import { clock, connect, element, offerLooks, say, words } from './socket.js'

// By level. Too few labels and learning share a level; the monitor's own message says which.
const VERDICTS = { 0: 'in_control', 3: 'stale' }
let status = null
let connected = false
let liveUrl = null

// Names and values as a list of terms; what is not known is left out.
function rows(place, entries) {
  const inPairs = place.classList.contains('figures')
  place.replaceChildren(...entries.filter(([, value]) => value !== undefined && value !== '')
    .flatMap(([name, value]) => {
      const term = document.createElement('dt')
      const description = document.createElement('dd')
      term.textContent = name
      description.textContent = value
      if (!inPairs) return [term, description]
      const pair = document.createElement('div')
      pair.append(term, description)
      return [pair]
    }))
}

const number = (text) => {
  const value = Number.parseFloat(text)
  return text === 'inf' ? 'inf' : Number.isNaN(value) ? null : value
}

// -- charts --------------------------------------------------------------------------------------

const value = (name) => () => number(status?.monitor?.values[name] ?? '')
const common = { changeText: words.change }
const charts = [
  new Chart(element('nll-chart'), { ...common, name: 'nll', output: element('nll-at'),
    lines: [{ column: 'nll', name: words.nll_key }], band: ['nll_ci_low', 'nll_ci_high'],
    reference: value('reference_nll') }),
  new Chart(element('kl-chart'), { ...common, name: 'kl', output: element('kl-at'),
    lines: [{ column: 'kl', name: words.kl_key },
      { column: 'entropy', style: 'second', name: words.entropy_key }] }),
  new Chart(element('evidence-chart'), { ...common, name: 'evidence', log: true,
    output: element('evidence-at'), lines: [{ column: 'evidence', name: words.evidence_key }],
    limit: value('threshold') }),
]

for (const button of document.querySelectorAll('[data-range]')) {
  button.addEventListener('click', () => {
    for (const other of document.querySelectorAll('[data-range]')) {
      other.setAttribute('aria-pressed', String(other === button))
    }
    askRange()
  })
}

function askRange() {
  const { range } = document.querySelector('[data-range][aria-pressed="true"]').dataset
  connection.send({ kind: 'range', range })
}

// -- what comes ----------------------------------------------------------------------------------

function drawStatus() {
  const monitor = status.monitor
  const level = monitor?.level ?? 1
  element('verdict').className = `card wide level-${level}`
  if (monitor) {
    const values = monitor.values
    const drift = [
      changeMoment ? say('drift_since', { time: clock(changeMoment, true) }) : words.drift,
      values.worst_label ? say('mostly', { label: values.worst_label }) : '']
    element('verdict-text').textContent = level === 2
      ? drift.filter(Boolean).join(', ') : words[VERDICTS[level]] ?? monitor.message
    const figure = (name) => show(number(values[name] ?? ''))
    rows(element('figures'), [
      [words.nll, `${figure('nll')} [${figure('nll_ci_low')}, ${figure('nll_ci_high')}]`],
      [words.reference, figure('reference_nll')],
      [words.kl, figure('kl')],
      [words.evidence, `${figure('evidence')} / ${figure('threshold')}`],
      [words.confirmed, values.n]])
  }
  const { input, inference, journal } = status.health
  const dropped = Object.entries(input?.values ?? {})
    .filter(([name, n]) => name.startsWith('dropped_') && n !== '0')
    .map(([name, n]) => `${name.slice(8)} ${n}`).join(', ')
  rows(element('input'), [
    [words.state, input?.message], [words.topic, input?.values.topic],
    [words.rate, rate(input)], [words.received, input?.values.received],
    [words.answered, input?.values.answered], [words.dropped, input && (dropped || '0')],
    ...['p50', 'p95', 'p99'].map((name) => [
      `${words.latency} ${name}`, inference
        && `${show(number(inference.values[`latency_${name}_ms`] ?? ''))} ms`]),
    [words.early, status.health['early warning']?.message],
    [words.shadow, status.health.shadow?.message],
    [words.journal, journal?.message]])
  rows(element('model'), [
    [words.model, inference?.values.model?.split('/').pop()],
    [words.digest, inference?.values.model_digest?.slice(0, 12)],
    [words.provider, inference?.values.provider],
    ...['novel', 'unmatched', 'conflicting', 'late'].map((name) =>
      [words[`outcome_${name}`], monitor?.values[name]])])
  // Their levels come with the status, which may come after the figures.
  for (const chart of charts) chart.draw()
  drawTrouble()
}

// Frames answered per second, over the reports of the last ten seconds.
const reports = []
function rate(input) {
  const answered = Number(input?.values.answered ?? Number.NaN)
  if (Number.isNaN(answered)) return undefined
  const now = performance.now()
  const last = reports.at(-1)
  if (last && answered < last.answered) reports.length = 0  // the recognizer was restarted
  if (answered !== last?.answered) reports.push({ answered, now })
  while (reports.length > 1 && now - reports[0].now > 10_000) reports.shift()
  const [first, newest] = [reports[0], reports.at(-1)]
  if (newest.now - first.now < 900) return now - newest.now > 2000 ? '0 Hz' : undefined
  return `${(1000 * (newest.answered - first.answered) / (newest.now - first.now)).toFixed(1)} Hz`
}

let changeMoment = null

function drawTrouble() {
  const input = status?.health.input
  const text = !connected ? words.offline : status && !status.alive ? words.recognizer_gone
    : input && input.level > 0 ? input.message : ''
  element('trouble').textContent = text
  element('trouble').hidden = !text
}

function drawPrediction({ probabilities, decision, score }) {
  const known = words[`decision_${decision?.replace(':', '_')}`]
  element('decision').textContent = decision === undefined ? ''
    : score ? `${decision} ${(100 * score).toFixed(1)} %` : known ?? decision
  const bars = element('bars')
  const labels = Object.keys(probabilities)
  if (bars.dataset.labels !== labels.join('\n')) {
    bars.dataset.labels = labels.join('\n')
    bars.replaceChildren(...labels.flatMap((label) => {
      const name = document.createElement('span')
      const meter = document.createElement('meter')
      name.textContent = label
      meter.setAttribute('aria-label', label)
      return [name, meter, document.createElement('output')]
    }))
  }
  labels.forEach((label, i) => {
    bars.children[3 * i + 1].value = probabilities[label]
    bars.children[3 * i + 2].textContent = `${(100 * probabilities[label]).toFixed(1)} %`
  })
}

function drawFrames({ classes, pairs, frames, frames_seen }) {
  element('classes').replaceChildren(...classes.map(({ label, n, right, nll }) => {
    const row = document.createElement('tr')
    for (const text of [label, n, `${Math.round(100 * right)} %`, show(nll)]) {
      row.insertCell().textContent = text
    }
    return row
  }))
  element('pairs').textContent = pairs.length
    ? pairs.map((pair) => say('pair', pair)).join(' · ')
    : frames_seen ? say('all_right', { n: frames_seen }) : words.no_mistakes
  const drawn = frames.map((frame) => frame.stamp).join()
  if (element('mistakes').dataset.drawn === drawn) return
  element('mistakes').dataset.drawn = drawn
  element('mistakes').replaceChildren(...frames.map((frame) => {
    const figure = document.createElement('figure')
    const picture = document.createElement(frame.picture ? 'img' : 'div')
    if (frame.picture) {
      picture.src = `/picture?${new URLSearchParams({ stamp: frame.stamp, frame_id: frame.frame_id })}`
      picture.alt = say('pair', { ...frame, n: 1 })
    } else picture.className = 'blank'
    const caption = document.createElement('figcaption')
    caption.textContent = say('mistake', { ...frame, time: clock(frame.moment, false),
      percent: Math.round(100 * frame.probability) })
    figure.append(picture, caption)
    return figure
  }))
}

function drawEvents({ events }) {
  element('events').replaceChildren(...events.map(({ kind, detail, moment }) => {
    const item = document.createElement('li')
    const time = document.createElement('time')
    const text = document.createElement('span')
    time.textContent = clock(moment, true)
    time.dateTime = new Date(moment * 1000).toISOString()
    text.textContent = [words[`event_${kind}`] ?? kind, detail].filter(Boolean).join(': ')
    item.append(time, text)
    return item
  }))
}

const connection = connect('engineer', {
  up() { connected = true; askRange(); drawTrouble() },
  down() { connected = false; drawTrouble() },
  live({ blob }) {
    const url = URL.createObjectURL(blob)
    const image = element('live')
    image.src = url
    image.hidden = false
    element('no-live').hidden = true
    if (liveUrl) URL.revokeObjectURL(liveUrl)
    liveUrl = url
  },
  answer: drawPrediction,
  status(message) { status = message; drawStatus() },
  series(message) {
    changeMoment = message.change_moment
    for (const chart of charts) chart.set(message)
    if (status) drawStatus()
  },
  frames: drawFrames,
  events: drawEvents,
  acted({ success, message }) {
    element('acted').textContent = `${success ? words.done : words.failed}: ${message}`
  },
})

// -- buttons that change something ask once ------------------------------------------------------

let asked = ''
for (const button of document.querySelectorAll('[data-action]')) {
  button.addEventListener('click', () => {
    asked = button.dataset.action
    element('sure-title').textContent = button.textContent
    element('sure-text').textContent = words[`sure_${asked}`]
    element('sure').returnValue = ''
    element('sure').showModal()
  })
}
element('sure').addEventListener('close', () => {
  if (element('sure').returnValue === 'yes') {
    element('acted').textContent = connection.send({ kind: 'action', action: asked })
      ? words.acting : words.offline
  }
})

offerLooks(element('theme'))
