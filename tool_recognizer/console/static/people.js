// Who has logged in: the name and the way out in a page's head, and what the role may see.

import { element, say } from './socket.js'

const ROLES = ['program', 'operator', 'engineer', 'admin']

export function showPerson({ person, role }) {
  for (const place of document.querySelectorAll('[data-needs]')) {
    place.hidden = ROLES.indexOf(role) < ROLES.indexOf(place.dataset.needs)
  }
  element('out').hidden = !person
  element('person').textContent = person ? say('named', { name: person }) : ''
}
