// A picture that is looked at closely: keys, wheel and a drag move and enlarge it within its place.

const MOST = 8

export class Lens {
  constructor(place, picture) {
    this.place = place
    this.picture = picture
    this.reset()
    place.addEventListener('wheel', (event) => {
      event.preventDefault()
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2)
    }, { passive: false })
    place.addEventListener('pointermove', (event) => {
      if (!event.buttons || !this.isLarge) return
      const { width, height } = place.getBoundingClientRect()
      this.move(100 * event.movementX / width, 100 * event.movementY / height)
    })
    picture.addEventListener('dragstart', (event) => event.preventDefault())
  }

  get isLarge() { return this.scale > 1 }

  reset() {
    this.look(1, 0, 0)
  }

  zoom(factor) {
    this.look(this.scale * factor, this.x * factor, this.y * factor)
  }

  move(x, y) {
    this.look(this.scale, this.x + x, this.y + y)
  }

  look(scale, x, y) {
    this.scale = Math.min(MOST, Math.max(1, scale))
    const most = 50 * (this.scale - 1)
    this.x = Math.min(most, Math.max(-most, x))
    this.y = Math.min(most, Math.max(-most, y))
    this.place.classList.toggle('enlarged', this.isLarge)
    this.picture.style.transform = `translate(${this.x}%, ${this.y}%) scale(${this.scale})`
  }

  // Whether a key is one of those that zoom, or of those that move what is enlarged.
  press(key) {
    const step = { ArrowLeft: [8, 0], ArrowRight: [-8, 0], ArrowUp: [0, 8], ArrowDown: [0, -8] }[key]
    if (key === '+' || key === '=') this.zoom(1.5)
    else if (key === '-') this.zoom(1 / 1.5)
    else if (step && this.isLarge) this.move(...step)
    else return false
    return true
  }
}
