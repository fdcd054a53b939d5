// The models that the line has had, with what they were worth, and the way back to one.

import { show } from './chart.js'
import { element, inOrder, quoted, say, when, words } from './socket.js'

function named({ name, version, digest }) {
  return [name || words.no_name, version, digest.slice(0, 12)].filter(Boolean).join(' · ')
}

// A figure with its 95 % interval.
export function figure(figures, name, write) {
  if (!figures) return '–'
  return `${write(figures[name])} [${write(figures[`${name}_ci_low`])}, ${
    write(figures[`${name}_ci_high`])}]`
}

function times(model) {
  return [...model.times.map(([from, until]) => (
    until === null ? say('since_time', { time: when(from) }) : `${when(from)} – ${when(until)}`)),
  model.chosen ? words.to_be_in_charge : '', model.damage ? words.damaged : '',
  ].filter(Boolean).join('; ') || '–'
}

export const share = (p) => `${Math.round(100 * p)} %`

// Draw the list; `current` returns the digest of the model in charge, `ask` asks before something
// is done.
export function offerModels(current, ask) {
  function row(model) {
    const line = document.createElement('tr')
    const held = model.held_out
    for (const text of [named(model), times(model), model.figures?.n ?? '–',
      figure(model.figures, 'accuracy', share), figure(model.figures, 'nll', show),
      typeof held?.accuracy_ci_high === 'number' ? figure(held, 'accuracy', share) : '–']) {
      line.insertCell().textContent = text
    }
    const cell = line.insertCell()
    const digest = current()
    if (model.digest === digest) cell.textContent = words.in_charge
    else if (model.version && !model.damage && digest) {
      const button = document.createElement('button')
      button.type = 'button'
      button.className = 'quiet'
      button.textContent = words.choose
      button.setAttribute('aria-label', `${words.choose}: ${named(model)}`)
      button.addEventListener('click', () => ask(words.choose, say('sure_choose_model', {
        model: named(model) }), { kind: 'choose', version: model.version }))
      cell.append(button)
    }
    return line
  }

  element('models-back').addEventListener('click', ({ currentTarget }) => ask(
    currentTarget.textContent, words.teach_sure_back,
    { kind: 'back', version: currentTarget.dataset.version }))

  const beginLook = inOrder()
  return async () => {
    const isNewest = beginLook()
    try {
      const { models, journal, store, before } = await (await fetch('/models')).json()
      if (!isNewest()) return
      element('models').replaceChildren(...models.map(row))
      element('models-table').hidden = !models.length
      const back = element('models-back')
      back.hidden = before === null || !current()
      back.dataset.version = before ?? ''
      back.textContent = before ? say('teach_back_to', { version: before }) : words.teach_back_shipped
      const wrong = [[journal, words.journal_unreadable], [store, words.store_unreadable]]
        .filter(([why]) => !['ok', 'none'].includes(why))
      element('no-models').replaceChildren(...wrong.length
        ? wrong.flatMap(([why, trouble]) => [`${trouble} `, quoted(why), ' '])
        : models.length ? [] : [words.no_models])
    } catch { /* the page says that the console is away */ }
  }
}
