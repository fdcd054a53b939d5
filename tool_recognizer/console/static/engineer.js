// The engineer's page: what the model sees, how well it does, and why an alarm is on.

import { Chart, show } from './chart.js'
import { figure, offerModels, share } from './models.js'
import { showPerson } from './people.js'
import { offerRegion } from './region.js'
import { absence, clock, connect, element, offerLooks, percent, quoted, say, told, when, word,
  words } from './socket.js'

let status = null
let answer = null
let place = {}         // where the console looks for the recognizer
let connected = false
let lostAt = null      // when the connection to the console ended, in seconds
let liveUrl = null

// Names and values as a list of terms; what is not known is left out.
function rows(place, entries) {
  const inPairs = place.classList.contains('figures')
  place.replaceChildren(...entries.filter(([, value]) => value !== undefined && value !== '')
    .flatMap(([name, value]) => {
      const term = document.createElement('dt')
      const description = document.createElement('dd')
      term.textContent = name
      description.append(value)
      if (!inPairs) return [term, description]
      const pair = document.createElement('div')
      pair.append(term, description)
      return [pair]
    }))
}

// A name that breaks between its words, and nowhere else.
function breakable(name) {
  const whole = document.createElement('span')
  whole.className = 'whole'
  const parts = name?.split(/(?=Execution|Provider)/) ?? []
  whole.append(...parts.flatMap((part, k) => (k ? [document.createElement('wbr'), part] : [part])))
  return parts.length ? whole : undefined
}

const number = (text) => {
  const value = Number.parseFloat(text)
  return text === 'inf' ? 'inf' : Number.isNaN(value) ? null : value
}

// -- charts --------------------------------------------------------------------------------------

const value = (name) => () => number(status?.monitor?.values[name] ?? '')
const common = { changeText: () => [words.change, worst()].filter(Boolean).join(': ') }
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

// Whether what is shown is not of now: the recognizer, or the console, is not heard any more.
const isOld = () => !connected || status?.alive === false

function drawVerdict() {
  const monitor = status?.monitor
  const level = monitor?.level ?? 1
  element('verdict').className = isOld() ? 'card wide' : `card wide level-${level}`
  const since = connected ? status?.heard : lostAt
  if (isOld()) {
    element('verdict-text').textContent = since ? say('gone_since', { time: clock(since, true) })
      : words.not_heard
  } else if (monitor) {
    const label = worst()
    const drift = [
      changeMoment ? say('drift_since', { time: clock(changeMoment, true) }) : words.drift,
      label ? say('mostly', { label }) : '']
    element('verdict-text').textContent = level === 2 ? drift.filter(Boolean).join(', ')
      : told('monitor', monitor.values.state, monitor.values, monitor.message)
  }
}

// The nats that each label gave to an alarm, the most first.
function perLabel(monitor) {
  try { return JSON.parse(monitor.values.per_label) ?? {} } catch { return {} }
}

// The label that an alarm is most about.
function worst() {
  const monitor = status?.monitor
  return monitor && (Object.keys(perLabel(monitor))[0] ?? monitor.values.worst_label)
}

// How a candidate compares, with the interval of the difference.
function compared({ values, message }) {
  const figure = (name) => show(number(values[name] ?? ''))
  const verdict = told('shadow', values.state, values, message)
  return Number(values.n) > 0 ? say('compared', { verdict, n: values.n,
    difference: figure('nll_difference'), low: figure('nll_difference_ci_low'),
    high: figure('nll_difference_ci_high') }) : verdict
}

// How it does on the labels that it alone has.
function ownLabels({ own_labels: labels, own_n: n, own_accuracy: right, own_accuracy_low: low,
  own_accuracy_high: high }) {
  if (!labels || !(Number(n) > 0)) return labels
  const share = (value) => `${Math.round(100 * Number(value))} %`
  return say('own_compared', { labels, n, right: share(right), low: share(low), high: share(high) })
}

function drawStatus() {
  const monitor = status.monitor
  if (monitor) {
    const values = monitor.values
    const byLabel = Object.entries(perLabel(monitor)).slice(0, 3)
    const figure = (name) => show(number(values[name] ?? ''))
    rows(element('figures'), [
      [words.nll, `${figure('nll')} [${figure('nll_ci_low')}, ${figure('nll_ci_high')}]`],
      [words.reference, figure('reference_nll')],
      [words.kl, `${figure('kl')} [${figure('kl_ci_low')}, ${figure('kl_ci_high')}]`],
      [words.evidence, `${figure('evidence')} / ${figure('threshold')}`],
      [words.confirmed, values.n],
      [words.per_label, byLabel.map(([label, nats]) => `${label} ${show(Number(nats))}`).join(', ')],
      [words.corrected_at, values.corrected_at && when(Number(values.corrected_at))],
      [words.figures_since, values.figures_since && when(Number(values.figures_since))]])
  }
  const { input, inference, journal, decisions, shadow } = status.health
  const says = (name) => {
    const known = status.health[name]
    return known && told(name, known.values.state, known.values, known.message)
  }
  const often = decisions?.level === 0 ? says('decisions')
    : decisions?.values.state?.split(', ').map((reason) => `${
      percent(decisions.values[`share_${reason}`])} % ${word('decision', reason) ?? reason}`).join('; ')
  const unknown = decisions?.values['share_unknown:not_a_known_tool']
  const promised = decisions?.values['promised_unknown:not_a_known_tool']
  const dropped = Object.entries(input?.values ?? {})
    .filter(([name, n]) => name.startsWith('dropped_') && n !== '0')
    .map(([name, n]) => `${word(name) ?? name.slice(8)} ${n}`).join(', ')
  rows(element('input'), [
    [words.state, says('input')], [words.topic, input?.values.topic],
    [words.rate, rate(input)], [words.received, input?.values.received],
    [words.answered, input?.values.answered], [words.dropped, input && (dropped || '0')],
    ...['p50', 'p95', 'p99'].map((name) => [
      `${words.latency} ${name}`, inference
        && `${show(number(inference.values[`latency_${name}_ms`] ?? ''))} ms`]),
    [words.decisions, often],
    [words.unknown_share, unknown && (Number.isNaN(Number(promised)) ? `${percent(unknown)} %`
      : say('unknown_promised', { share: percent(unknown), promised: percent(promised) }))],
    [words.passages, says('passages')],
    [words.early, says('early warning')],
    [words.shadow, shadow && compared(shadow)],
    [words.own_labels, shadow && ownLabels(shadow.values)],
    [words.journal, journal && says('journal')]])
  element('promote').hidden = !shadow
  element('promote').disabled = shadow?.values.state !== 'better'
  rows(element('model'), [
    [words.model, inference?.values.model?.split('/').pop()],
    [words.digest, inference?.values.model_digest?.slice(0, 12)],
    [words.provider, breakable(inference?.values.provider)],
    ...['novel', 'unmatched', 'conflicting', 'late'].map((name) =>
      [words[`outcome_${name}`], monitor?.values[name]])])
  showRegion(input?.values)
  if (inference && inference.values.model_digest !== shownDigest) {
    shownDigest = inference.values.model_digest
    drawModels()
  }
  // Their levels come with the status, which may come after the figures.
  for (const chart of charts) chart.draw()
  drawFreshness()
}

// What is not of now is grey, and no bar stands as if it were.
function drawFreshness() {
  document.body.classList.toggle('old', isOld())
  drawVerdict()
  drawAnswer()
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
  const troubles = ['input', 'decisions', 'passages'].filter((name) => status?.health[name]?.level > 0)
  const text = !connected ? words.offline
    : status && !status.alive ? absence(place, status.heard)
      : troubles.map((name) => {
        const { values, message } = status.health[name]
        return `${words[name]}: ${told(name, values.state, values, message)}`
      }).join('; ')
  element('trouble').textContent = text
  element('trouble').hidden = !text
}

function drawAnswer() {
  if (!answer) return
  const { decision, score } = answer
  const probabilities = isOld() ? {} : answer.probabilities
  element('decision').textContent = isOld() ? ''
    : score ? `${decision} ${(100 * score).toFixed(1)} %` : word('decision', decision) ?? decision
  const bars = element('bars')
  const labels = Object.keys(answer.probabilities)
  // Without a frame the bars stay, and are empty.
  if (labels.length && bars.dataset.labels !== labels.join('\n')) {
    bars.dataset.labels = labels.join('\n')
    bars.replaceChildren(...labels.flatMap((label) => {
      const name = document.createElement('span')
      const meter = document.createElement('meter')
      name.textContent = label
      meter.setAttribute('aria-label', label)
      return [name, meter, document.createElement('output')]
    }))
  }
  bars.dataset.stamp = answer.stamp
  for (const meter of bars.querySelectorAll('meter')) {
    // null: it was no number; undefined: there is no frame
    const p = probabilities[meter.getAttribute('aria-label')] ?? null
    meter.value = p ?? 0
    meter.nextSibling.textContent = p === null ? '–' : `${(100 * p).toFixed(1)} %`
  }
}

function drawPictures(place, frames, caption) {
  const drawn = frames.map((frame) => frame.stamp).join()
  if (place.dataset.drawn === drawn) return
  place.dataset.drawn = drawn
  place.replaceChildren(...frames.map((frame) => {
    const figure = document.createElement('figure')
    const picture = document.createElement(frame.picture ? 'img' : 'div')
    if (frame.picture) {
      picture.src = `/picture?${new URLSearchParams({ stamp: frame.stamp, frame_id: frame.frame_id })}`
      picture.alt = say('mistake_of', frame)
    } else picture.className = 'blank'
    const text = document.createElement('figcaption')
    text.textContent = caption(frame)
    figure.append(picture, text)
    return figure
  }))
}

function drawFrames({ classes, pairs, frames, surprising, frames_seen }) {
  element('classes').replaceChildren(...classes.map((one) => {
    const row = document.createElement('tr')
    for (const text of [one.label, one.n, figure(one, 'right', share), figure(one, 'nll', show)]) {
      row.insertCell().textContent = text
    }
    return row
  }))
  element('pairs').textContent = pairs.length
    ? pairs.map((pair) => say('pair', pair)).join(' · ')
    : frames_seen ? say('all_right', { n: frames_seen }) : words.no_mistakes
  const values = (frame) => ({ ...frame, nll: show(frame.nll), time: clock(frame.moment, false),
    percent: Math.round(100 * frame.probability) })
  drawPictures(element('mistakes'), frames, (frame) => say('mistake', values(frame)))
  element('surprising-card').hidden = !surprising.length
  drawPictures(element('surprising'), surprising, (frame) => say('surprise', values(frame)))
}

// What more there is to say of an event: what a status says, or which confirmation it was.
function detail({ name, state, values, message }) {
  if (name) return told(name, state, values, message)
  if (!values.stamp) return values.digest
  const confirmation = say('event_confirmation', { ...values,
    operator: values.operator || words.nobody, camera: values.frame_id || words.no_camera })
  return [confirmation, word('why', values.reason)].filter(Boolean).join(': ')
}

function drawEvents({ events }) {
  element('events').replaceChildren(...events.map((event) => {
    const { moment } = event
    const item = document.createElement('li')
    const time = document.createElement('time')
    const text = document.createElement('span')
    time.textContent = clock(moment, true)
    time.dateTime = new Date(moment * 1000).toISOString()
    text.textContent = [word('event', event.kind) ?? event.kind, detail(event)]
      .filter(Boolean).join(': ')
    item.append(time, text)
    return item
  }))
}

let shownDigest = ''
const showRegion = offerRegion(ask)
const drawModels = offerModels(() => status?.health.inference?.values.model_digest, ask)

const connection = connect('engineer', {
  up() { connected = true; askRange(); drawFreshness() },
  down() {
    if (connected) lostAt = Date.now() / 1000
    connected = false
    // What is responded now reaches no page.
    if (element('acted').textContent === words.acting) element('acted').textContent = words.acting_lost
    drawFreshness()
  },
  hello(message) {
    place = message
    showPerson(message)
  },
  live({ blob }) {
    const url = URL.createObjectURL(blob)
    const image = element('live')
    image.src = url
    image.hidden = false
    element('no-live').hidden = true
    if (liveUrl) URL.revokeObjectURL(liveUrl)
    liveUrl = url
  },
  answer(message) { answer = message; drawAnswer() },
  status(message) { status = message; drawStatus() },
  series(message) {
    changeMoment = message.change_moment
    for (const chart of charts) chart.set(message)
    if (status) drawStatus()
  },
  frames: drawFrames,
  events: drawEvents,
  forbidden() { element('acted').textContent = words.forbidden },
  acted({ action, success, message, reason, named }) {
    drawModels()
    const why = `teach_no_${reason}`
    element('acted').replaceChildren(...success ? [`${words.done}: ${word('acted', action)}`]
      : words[why] ? [`${words.failed}. ${say(why, named)}`]
        : [`${words.failed}. ${words.node_says} `, quoted(message)])
  },
})

// -- buttons that change something ask once ------------------------------------------------------

let wanted = null  // what is sent if it is wanted
function ask(title, text, message) {
  wanted = message
  element('sure-title').textContent = title
  element('sure-text').textContent = text
  element('sure').returnValue = ''
  element('sure').showModal()
}
for (const button of document.querySelectorAll('[data-action]')) {
  const { action } = button.dataset
  button.addEventListener('click', () => ask(button.textContent, words[`sure_${action}`],
    { kind: 'action', action }))
}
element('sure').addEventListener('close', () => {
  if (element('sure').returnValue === 'yes') {
    element('acted').textContent = connection.send(wanted) ? words.acting : words.offline
  }
})

offerLooks(element('theme'))
drawModels()
