// An operator's own last confirmations, and a late correction of one.

import { send, settled } from './correction.js'
import { clock, element, say, word, words } from './socket.js'

async function correct(frame, label, operator, draw) {
  const said = element('mine-said')
  said.textContent = words.acting
  try {
    const nonce = await send('mine', { stamp: frame.stamp, frame_id: frame.frame_id, label,
      operator, of: String(frame.number) })
    if (await settled('mine', nonce) === 'refused') throw new Error(words.correction_refused)
  } catch (error) {
    said.textContent = say('refused', { why: error.message })
    return
  }
  try {
    await draw()
  } catch { /* the list is of before; what was corrected stays so */ }
  said.textContent = say('answer_corrected', { time: clock(Number(frame.stamp) / 1e9, true) })
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
        // A button: who goes through the labels with the arrow keys changes them at each one.
        const button = document.createElement('button')
        button.type = 'button'
        button.className = 'quiet'
        button.textContent = words.correct
        button.disabled = true
        select.addEventListener('change', () => { button.disabled = !select.value })
        button.addEventListener('click', async () => {
          button.disabled = true
          await correct(frame, select.value, operator(), draw)
          button.disabled = false
        })
        const change = document.createElement('span')
        change.className = 'row'
        change.append(select, button)
        item.append(change)
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
