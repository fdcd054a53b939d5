// A line chart over time, drawn as SVG in the size that it has on the screen.
//
// Values: a number, null for what is not known (a gap), or 'inf', which is drawn at the upper edge,
// never left out.

import { clock } from './socket.js'

const SVG = 'http://www.w3.org/2000/svg'
const LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 24

function draw(parent, name, attributes, text = '') {
  const node = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  node.textContent = text
  parent.append(node)
  return node
}

// Round numbers that divide a range in about `count` parts.
function ticks(low, high, count) {
  const rough = (high - low) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough)
  const found = []
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) {
    found.push(Number((k * step).toPrecision(12)))
  }
  return found
}

export function show(value) {
  if (value === null || value === undefined) return '–'
  if (value === 'inf') return '∞'
  const size = Math.abs(value)
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1)
  return String(Number(value.toPrecision(3)))
}

export class Chart {
  // lines: [{column, style, name}]; band: [low, high] columns; limit and reference: functions of
  // the data that give a level; log: a log axis; output: where to write what the pointer is at.
  constructor(place, options) {
    Object.assign(this, { place, data: null, at: null, ...options })
    this.svg = draw(place, 'svg', { role: 'img' })
    new ResizeObserver(() => this.draw()).observe(place)
    this.svg.addEventListener('pointermove', (event) => {
      this.at = event.clientX - this.svg.getBoundingClientRect().left
      this.draw()
    })
    this.svg.addEventListener('pointerleave', () => { this.at = null; this.draw() })
  }

  set(data) {
    this.data = data
    this.draw()
  }

  draw() {
    const { data, svg } = this
    const { width, height } = this.place.getBoundingClientRect()
    if (!data || width < 100) return
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
    svg.replaceChildren()
    const limit = this.limit?.(data) ?? null
    const reference = this.reference?.(data) ?? null
    const [low, high] = this.extent([limit, reference])
    const bottom = height - BOTTOM
    const scale = this.log ? Math.log10 : (value) => value
    const y = (value) => {
      if (value === 'inf') return TOP
      const share = (scale(Math.max(value, this.log ? low : -Infinity)) - scale(low))
        / (scale(high) - scale(low))
      return bottom - Math.min(1, Math.max(0, share)) * (bottom - TOP)
    }
    const x = (moment) => LEFT + (1 - (data.now - moment) / data.span) * (width - LEFT - RIGHT)
    this.axes(low, high, x, y, width, bottom)

    const clip = draw(svg, 'clipPath', { id: `clip-${this.name}` })
    draw(clip, 'rect', { x: LEFT, y: 0, width: width - LEFT - RIGHT, height })
    const inside = draw(svg, 'g', { 'clip-path': `url(#clip-${this.name})` })
    if (this.band) this.drawBand(inside, x, y)
    for (const [level, style] of [[reference, 'reference'], [limit, 'limit']]) {
      if (level !== null) {
        draw(svg, 'line', { class: style, x1: LEFT, x2: width - RIGHT, y1: y(level), y2: y(level) })
      }
    }
    for (const line of this.lines) this.drawLine(inside, line, x, y)
    const begin = data.now - data.span
    if (data.change_first && data.change_last > begin) {
      const from = x(data.change_first)
      // As wide as a line at least, where it is certain.
      draw(inside, 'rect', { class: 'change-band', x: from - 1, y: TOP,
        width: x(data.change_last) - from + 2, height: bottom - TOP })
    }
    if (data.change_moment && data.change_moment > begin) {
      const at = x(data.change_moment)
      draw(svg, 'line', { class: 'change', x1: at, x2: at, y1: TOP, y2: bottom })
      const end = at > width - 90
      draw(svg, 'text', { class: 'change-text', x: at + (end ? -5 : 5), y: TOP + 11,
        'text-anchor': end ? 'end' : 'start' }, this.changeText())
    }
    this.drawCursor(x, bottom)
  }

  extent(levels) {
    const columns = [...this.lines.map((line) => line.column), ...(this.band ?? [])]
    const values = columns.flatMap((name) => this.data[name]).concat(levels)
      .filter((value) => typeof value === 'number' && (!this.log || value > 0))
    if (this.log) {
      const high = Math.max(10, ...values) * 2
      return [Math.max(1e-3, Math.min(0.5, ...values)), high]
    }
    const high = Math.max(0.05, ...values)
    return [Math.min(0, ...values), high * 1.08]
  }

  axes(low, high, x, y, width, bottom) {
    const { data, svg } = this
    let levels = ticks(low, high, 4)
    if (this.log) {
      levels = []
      const first = Math.ceil(Math.log10(low)), last = Math.floor(Math.log10(high))
      const step = Math.max(1, Math.ceil((last - first) / 4))
      for (let power = first; power <= last; power += step) levels.push(10 ** power)
    }
    for (const level of levels) {
      draw(svg, 'line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(level), y2: y(level) })
      draw(svg, 'text', { x: LEFT - 6, y: y(level) + 4, 'text-anchor': 'end' }, show(level))
    }
    const places = width < 420 ? 2 : 4
    for (let place = 0; place <= places; place += 1) {
      const moment = data.now - data.span * (1 - place / places)
      draw(svg, 'text', { x: x(moment), y: bottom + 17,
        'text-anchor': place === 0 ? 'start' : place === places ? 'end' : 'middle' },
      clock(moment, data.span < 600))
    }
  }

  drawBand(parent, x, y) {
    const { data } = this
    const [low, high] = this.band
    // A run of moments at which both ends are known is one piece.
    let piece = []
    const close = () => {
      if (piece.length > 1) {
        const upper = piece.map((i) => `${x(data.moment[i])},${y(data[high][i])}`)
        const lower = piece.map((i) => `${x(data.moment[i])},${y(data[low][i])}`).reverse()
        draw(parent, 'polygon', { class: 'band', points: [...upper, ...lower].join(' ') })
      }
      piece = []
    }
    data.moment.forEach((_, i) => {
      if (data[low][i] === null || data[high][i] === null) close()
      else piece.push(i)
    })
    close()
  }

  drawLine(parent, { column, style = '' }, x, y) {
    const { data } = this
    const values = data[column]
    let path = ''
    let pen = 'M'
    values.forEach((value, i) => {
      if (value === null) { pen = 'M'; return }
      path += `${pen}${x(data.moment[i]).toFixed(1)},${y(value).toFixed(1)}`
      pen = 'L'
    })
    if (path) draw(parent, 'path', { class: `line ${style}`, d: path })
    const last = values.findLastIndex((value) => value !== null)
    if (last >= 0) {
      draw(parent, 'circle', { class: `dot ${style}`, cx: x(data.moment[last]),
        cy: y(values[last]), r: 3 })
    }
    const name = this.lines.map((line) =>
      `${line.name} ${show(data[line.column].at(last >= 0 ? last : -1))}`)
    this.svg.setAttribute('aria-label', name.join(', '))
  }

  drawCursor(x, bottom) {
    const { data } = this
    if (this.at === null || !data.moment.length) {
      this.output.textContent = ''
      return
    }
    const distance = data.moment.map((moment) => Math.abs(x(moment) - this.at))
    const i = distance.indexOf(Math.min(...distance))
    const at = x(data.moment[i])
    draw(this.svg, 'line', { class: 'cursor', x1: at, x2: at, y1: TOP, y2: bottom })
    this.output.textContent = `${clock(data.moment[i], true)}: `
      + this.lines.map((line) => show(data[line.column][i])).join(' / ')
  }
}
