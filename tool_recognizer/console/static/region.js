// The part of the frame that is looked at: shown on the live picture, and changed there with the
// pointer, or by four numbers, in percent of the frame.

import { element, say } from './socket.js'

const EDGES = ['x', 'y', 'width', 'height']
const WHOLE = [0, 0, 1000, 1000]
// The least width and height. All numbers here are tenths of a percent.
const LEAST = 10

const within = (value, low, high) => Math.min(high, Math.max(low, Math.round(value)))

// A part that lies within the frame, of one that may not.
function fitted([x, y, width, height]) {
  const left = within(x, 0, 1000 - LEAST)
  const top = within(y, 0, 1000 - LEAST)
  return [left, top, within(width, LEAST, 1000 - left), within(height, LEAST, 1000 - top)]
}

export function offerRegion(ask) {
  const [area, now, draft] = ['region-area', 'region-now', 'region-draft'].map(element)
  const [box, form] = ['region', 'region-form'].map(element)
  const inputs = EDGES.map((name) => form.elements[name])
  let known = WHOLE
  let begin = null       // where a drag began
  let isChanged = false  // by hand, and not asked for yet

  function place(mark, region) {
    const [left, top, width, height] = region.map((value) => `${value / 10}%`)
    Object.assign(mark.style, { left, top, width, height })
  }

  function draw() {
    const isOpen = box.open
    area.classList.toggle('open', isOpen)
    now.hidden = String(known) === String(WHOLE)
    draft.hidden = !isOpen
    place(now, known)
    if (inputs.every((input) => input.value !== '')) {
      place(draft, fitted(inputs.map((input) => 10 * input.valueAsNumber)))
    }
  }

  function write(region) {
    inputs.forEach((input, k) => { input.value = region[k] / 10 })
    draw()
  }

  function at(event) {
    const { left, top, width, height } = area.getBoundingClientRect()
    return [1000 * (event.clientX - left) / width, 1000 * (event.clientY - top) / height]
      .map((value) => within(value, 0, 1000))
  }

  area.addEventListener('pointerdown', (event) => {
    begin = at(event)
    area.setPointerCapture(event.pointerId)
    event.preventDefault()
  })
  area.addEventListener('pointermove', (event) => {
    if (!begin) return
    const end = at(event)
    const corner = begin.map((value, k) => Math.min(value, end[k]))
    isChanged = true
    write(fitted([...corner, ...begin.map((value, k) => Math.abs(value - end[k]))]))
  })
  for (const over of ['pointerup', 'pointercancel']) {
    area.addEventListener(over, () => { begin = null })
  }

  function want(region) {
    isChanged = false
    write(region)
    const [x, y, width, height] = region.map((value) => (value / 1000).toFixed(3))
    ask(element('region-title').textContent, say('sure_set_region', {
      region: region.map((value) => `${value / 10} %`).join(', ') }),
    { kind: 'region', x, y, width, height })
  }

  form.addEventListener('input', () => { isChanged = true; draw() })
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    want(fitted(inputs.map((input) => 10 * input.valueAsNumber)))
  })
  element('region-whole').addEventListener('click', () => want(WHOLE))
  box.addEventListener('toggle', () => {
    isChanged = false
    write(known)
  })

  // What the recognizer says of it: four shares of the frame, and the frame's width by its height.
  return ({ region, aspect } = {}) => {
    const shares = (region ?? '').split(' ').map(Number)
    box.hidden = area.hidden = !(shares.length === 4 && Number(aspect) > 0)
    if (box.hidden) return
    known = shares.map((share) => Math.round(1000 * share))
    area.style.aspectRatio = aspect
    if (isChanged || begin) draw()
    else write(known)
  }
}
