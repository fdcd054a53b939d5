// An operator's own last confirmations, and a late correction of one.

import { clock, element, say, word, words } from './socket.js'

// Milliseconds between two looks at what became of a correction.
const LOOK = 700

async function correct(frame, label, operator, draw) {
  const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)),
    (byte) => byte.toString(16).padStart(2, '0')).join('')
  const said = element('mine-said')
  said.textContent = words.acting
  try {
    const response = await fetch('/mine/correct', { method: 'POST', body: JSON.stringify({
      kind: 'answer', nonce, stamp: frame.stamp, frame_id: frame.frame_id, label, operator,
      of: String(frame.number) }) })
    const { reason, why } = await response.json()
    if (!response.ok) throw new Error(word('why', reason) ?? why)
    for (let outcome = null; outcome === null;) {
      await new Promise((done) => { setTimeout(done, LOOK) })
      outcome = (await (await fetch(`/mine/outcome?nonce=${nonce}`)).json()).outcome
      if (outcome === 'refused') throw new Error(words.correction_refused)
    }
    await draw()
    said.textContent = say('answer_corrected', { time: clock(Number(frame.stamp) / 1e9, true) })
  } catch (error) {
    said.textContent = say('refused', { why: error.message })
  }
}

export function offerMine(operator, named) {
  async function draw() {
    const asked = new URLSearchParams({ operator: operator() })
    const { frames, labels } = await (await fetch(`/mine/answers?${asked}`)).json()
    const known = [...labels, 'operator:another_tool', 'operator:cannot_see']
    element('mine-none').hidden = frames.length > 0
    element('answers').replaceChildren(...frames.map((frame) => {
      const item = document.createElement('li')
      const image = document.createElement(frame.picture ? 'img' : 'span')
      if (frame.picture) {
        image.src = `/mine/picture?${new URLSearchParams({ stamp: frame.stamp, frame_id: frame.frame_id })}`
        image.alt = ''
      }
      const text = document.createElement('span')
      text.textContent = [named(frame.label), word('became', frame.outcome) ?? frame.outcome,
        clock(frame.moment, true)].join(' · ')
      item.append(image, text)
      if (frame.counts) {
        const select = document.createElement('select')
        select.setAttribute('aria-label', `${words.correct_to}: ${text.textContent}`)
        select.append(new Option(`${words.correct_to} …`, ''), ...known.filter(
          (label) => label !== frame.label).map((label) => new Option(named(label), label)))
        select.addEventListener('change', () => {
          if (select.value) correct(frame, select.value, operator(), draw)
        })
        item.append(select)
      }
      return item
    }))
  }

  element('mine-button').addEventListener('click', () => {
    element('mine-said').textContent = ''
    element('mine').showModal()
    draw().catch(() => { element('mine-said').textContent = words.offline })
  })
  element('mine-close').addEventListener('click', () => element('mine').close())
}
